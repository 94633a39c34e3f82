from holdfast.api.resource import STATUS, Resource

POD_DISRUPTION_BUDGETS = Resource(
    group="policy",
    version="v1",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    short_names=("pdb",),
    subresources=(STATUS,),
    initial_status={},
    has_generation=True,
    allows_unconditional_update=False,
)
