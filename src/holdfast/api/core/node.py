from holdfast.api.resource import STATUS, Resource, Subresource

NODES = Resource(
    group="",
    version="v1",
    kind="Node",
    plural="nodes",
    namespaced=False,
    short_names=("no",),
    subresources=(
        Subresource("proxy", verbs=("create", "delete", "get", "patch", "update"), kind="NodeProxyOptions"),
        STATUS,
    ),
    initial_status={},
    keeps_status_on_create=True,
)
