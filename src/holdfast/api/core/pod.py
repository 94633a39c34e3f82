from holdfast.api.resource import STATUS, Resource, Subresource

PODS = Resource(
    group="",
    version="v1",
    kind="Pod",
    plural="pods",
    short_names=("po",),
    categories=("all",),
    subresources=(
        Subresource("attach", verbs=("create", "get"), kind="PodAttachOptions"),
        Subresource("binding", verbs=("create",), kind="Binding"),
        Subresource("ephemeralcontainers"),
        Subresource("eviction", verbs=("create",), kind="Eviction", group="policy", version="v1"),
        Subresource("exec", verbs=("create", "get"), kind="PodExecOptions"),
        Subresource("log", verbs=("get",)),
        Subresource("portforward", verbs=("create", "get"), kind="PodPortForwardOptions"),
        Subresource("proxy", verbs=("create", "delete", "get", "patch", "update"), kind="PodProxyOptions"),
        Subresource("resize"),
        STATUS,
    ),
    initial_status={"phase": "Pending"},
    has_generation=True,
    is_graceful=True,
    delete_returns_object=True,
)
