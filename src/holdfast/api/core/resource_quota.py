from holdfast.api.resource import STATUS, Resource

RESOURCE_QUOTAS = Resource(
    group="",
    version="v1",
    kind="ResourceQuota",
    plural="resourcequotas",
    short_names=("quota",),
    subresources=(STATUS,),
    initial_status={},
    delete_returns_object=True,
)
