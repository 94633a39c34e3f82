from holdfast.api.resource import SCALE, STATUS, Resource

REPLICATION_CONTROLLERS = Resource(
    group="",
    version="v1",
    kind="ReplicationController",
    plural="replicationcontrollers",
    short_names=("rc",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    initial_status={"replicas": 0},
    has_generation=True,
)
