from holdfast.api.names import path_segment_name
from holdfast.api.resource import Resource

CLUSTER_ROLE_BINDINGS = Resource(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="ClusterRoleBinding",
    plural="clusterrolebindings",
    namespaced=False,
    creates_on_update=True,
    validate_name=path_segment_name,
)
