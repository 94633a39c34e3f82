"""PodTemplates."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError
from holdfast.api.resource import NAME, Column, Manifest, Resource
from holdfast.api.selectors import selector_from_labels

from .pod_defaults import default_template
from .pod_validation import validate_template
from .pod_warnings import template_warnings


def default(pod_template: Manifest) -> None:
    default_template(pod_template.setdefault("template", {}))


def validate(pod_template: Manifest) -> list[FieldError]:
    return [*validate_template("template", pod_template["template"])]


def cells(pod_template: Manifest, now: datetime) -> list[Any]:
    template = pod_template["template"]
    containers = template["spec"].get("containers", ())
    return [
        pod_template["metadata"]["name"],
        ",".join(container.get("name", "") for container in containers),
        ",".join(container.get("image", "") for container in containers),
        str(selector_from_labels(template["metadata"].get("labels"))) or "<none>",
    ]


POD_TEMPLATES = Resource(
    group="",
    version="v1",
    kind="PodTemplate",
    plural="podtemplates",
    default=default,
    validate=validate,
    warnings=lambda pod_template: template_warnings("template", pod_template["template"]),
    columns=(
        NAME,
        Column("Containers", text="Names of each container in the template."),
        Column("Images", text="Images referenced by each container in the template."),
        Column("Pod Labels", text="The labels for the pod template."),
    ),
    cells=cells,
    has_generation=True,
    generation_of=lambda pod_template: pod_template.get("template"),
    delete_returns_object=True,
)
