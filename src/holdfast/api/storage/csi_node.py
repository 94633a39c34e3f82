from holdfast.api.resource import Resource

CSI_NODES = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="CSINode",
    plural="csinodes",
    namespaced=False,
    allows_unconditional_update=False,
    delete_returns_object=True,
)
