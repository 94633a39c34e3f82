from holdfast.api.resource import Resource

EVENTS = Resource(
    group="",
    version="v1",
    kind="Event",
    plural="events",
    short_names=("ev",),
    creates_on_update=True,
)
