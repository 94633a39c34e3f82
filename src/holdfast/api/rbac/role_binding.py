from holdfast.api.names import path_segment_name
from holdfast.api.resource import Resource

ROLE_BINDINGS = Resource(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="RoleBinding",
    plural="rolebindings",
    creates_on_update=True,
    validate_name=path_segment_name,
)
