from holdfast.api.resource import Resource

POD_TEMPLATES = Resource(
    group="",
    version="v1",
    kind="PodTemplate",
    plural="podtemplates",
    has_generation=True,
    delete_returns_object=True,
)
