from holdfast.api.resource import Resource

LEASES = Resource(
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    creates_on_update=True,
    allows_unconditional_update=False,
)
