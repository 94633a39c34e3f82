from holdfast.api.resource import STATUS, Resource

VOLUME_ATTACHMENTS = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttachment",
    plural="volumeattachments",
    namespaced=False,
    subresources=(STATUS,),
    initial_status={},
    allows_unconditional_update=False,
    delete_returns_object=True,
)
