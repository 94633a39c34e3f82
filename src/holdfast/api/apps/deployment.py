from holdfast.api.resource import SCALE, STATUS, Resource

DEPLOYMENTS = Resource(
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    short_names=("deploy",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    initial_status={},
    has_generation=True,
)
