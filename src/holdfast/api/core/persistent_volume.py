from holdfast.api.resource import STATUS, Resource

PERSISTENT_VOLUMES = Resource(
    group="",
    version="v1",
    kind="PersistentVolume",
    plural="persistentvolumes",
    namespaced=False,
    short_names=("pv",),
    subresources=(STATUS,),
    initial_status={"phase": "Pending"},
    delete_returns_object=True,
)
