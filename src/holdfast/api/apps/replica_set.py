from holdfast.api.resource import SCALE, STATUS, Resource

REPLICA_SETS = Resource(
    group="apps",
    version="v1",
    kind="ReplicaSet",
    plural="replicasets",
    short_names=("rs",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    initial_status={"replicas": 0},
    has_generation=True,
)
