from holdfast.api.resource import STATUS, Resource

PERSISTENT_VOLUME_CLAIMS = Resource(
    group="",
    version="v1",
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    short_names=("pvc",),
    subresources=(STATUS,),
    initial_status={"phase": "Pending"},
    delete_returns_object=True,
)
