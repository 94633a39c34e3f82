from holdfast.api.resource import Resource

STORAGE_CLASSES = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="StorageClass",
    plural="storageclasses",
    namespaced=False,
    short_names=("sc",),
    delete_returns_object=True,
)
