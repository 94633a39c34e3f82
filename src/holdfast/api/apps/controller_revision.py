from holdfast.api.resource import Resource

CONTROLLER_REVISIONS = Resource(
    group="apps",
    version="v1",
    kind="ControllerRevision",
    plural="controllerrevisions",
)
