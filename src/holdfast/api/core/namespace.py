from holdfast.api.resource import STATUS, Resource, Subresource

NAMESPACES = Resource(
    group="",
    version="v1",
    kind="Namespace",
    plural="namespaces",
    namespaced=False,
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    subresources=(Subresource("finalize", verbs=("update",)), STATUS),
    initial_status={"phase": "Active"},
    delete_returns_object=True,
)
