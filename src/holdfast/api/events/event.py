from holdfast.api.resource import Resource

EVENTS = Resource(
    group="events.k8s.io",
    version="v1",
    kind="Event",
    plural="events",
    short_names=("ev",),
    creates_on_update=True,
)
