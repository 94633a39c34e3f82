from holdfast.api.resource import STATUS, Resource, Subresource

SERVICES = Resource(
    group="",
    version="v1",
    kind="Service",
    plural="services",
    short_names=("svc",),
    categories=("all",),
    subresources=(
        Subresource("proxy", verbs=("create", "delete", "get", "patch", "update"), kind="ServiceProxyOptions"),
        STATUS,
    ),
    initial_status={"loadBalancer": {}},
    creates_on_update=True,
    delete_returns_object=True,
)
