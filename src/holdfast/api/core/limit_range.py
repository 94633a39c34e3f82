from holdfast.api.resource import Resource

LIMIT_RANGES = Resource(
    group="",
    version="v1",
    kind="LimitRange",
    plural="limitranges",
    short_names=("limits",),
    creates_on_update=True,
)
