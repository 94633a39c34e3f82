from holdfast.api.resource import SCALE, STATUS, Resource

STATEFUL_SETS = Resource(
    group="apps",
    version="v1",
    kind="StatefulSet",
    plural="statefulsets",
    short_names=("sts",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    initial_status={"replicas": 0, "availableReplicas": 0},
    has_generation=True,
)
