from holdfast.api.resource import Resource

CSI_DRIVERS = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="CSIDriver",
    plural="csidrivers",
    namespaced=False,
    has_generation=True,
    allows_unconditional_update=False,
    delete_returns_object=True,
)
