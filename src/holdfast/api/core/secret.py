from holdfast.api.resource import Resource

SECRETS = Resource(
    group="",
    version="v1",
    kind="Secret",
    plural="secrets",
)
