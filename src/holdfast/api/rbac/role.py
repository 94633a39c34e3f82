from holdfast.api.names import path_segment_name
from holdfast.api.resource import Resource

ROLES = Resource(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="Role",
    plural="roles",
    creates_on_update=True,
    validate_name=path_segment_name,
)
