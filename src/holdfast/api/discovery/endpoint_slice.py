from holdfast.api.resource import Resource

ENDPOINT_SLICES = Resource(
    group="discovery.k8s.io",
    version="v1",
    kind="EndpointSlice",
    plural="endpointslices",
    has_generation=True,
)
