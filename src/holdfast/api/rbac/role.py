from holdfast.api.resource import Resource

ROLES = Resource(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="Role",
    plural="roles",
    creates_on_update=True,
)
