from holdfast.api.resource import Resource

ENDPOINTS = Resource(
    group="",
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    short_names=("ep",),
    creates_on_update=True,
)
