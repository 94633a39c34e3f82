"""What the kinds that keep pods by a template share: a selector that matches it, and a template that may restart."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api.core.pod_validation import validate_template
from holdfast.api.errors import FieldError, forbidden, invalid, not_supported, required
from holdfast.api.field_rules import in_order
from holdfast.api.meaning import same
from holdfast.api.resource import Manifest
from holdfast.api.selector_validation import validate_label_selector
from holdfast.api.selectors import selector_from_manifest


def validate_selector(spec: Manifest, kind: str) -> Iterator[FieldError]:
    """An empty selector would own every pod, none would own no pod: neither matches any template (S166, S167)."""
    selector = spec.get("selector")
    if selector is None:
        yield required("spec.selector")
    else:
        errors = [*validate_label_selector("spec.selector", selector)]
        yield from errors
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            yield invalid("spec.selector", {}, f"empty selector is invalid for {kind}")
            return
        if errors:
            return
    labels = spec.get("template", {}).get("metadata", {}).get("labels")
    if not selector_from_manifest(selector).matches(labels):
        refusal = "`selector` does not match template `labels`"
        yield invalid("spec.template.metadata.labels", in_order(labels), refusal)


def validate_lasting_template(spec: Manifest, kind: str) -> Iterator[FieldError]:
    """Of pods that are to run for ever."""
    yield from validate_template("spec.template", spec.get("template", {}))
    yield from validate_lasting(spec.get("template", {}).get("spec", {}), kind)


def validate_lasting(pod_spec: Manifest, kind: str) -> Iterator[FieldError]:
    if pod_spec.get("restartPolicy") != "Always":
        yield not_supported("spec.template.spec.restartPolicy", pod_spec.get("restartPolicy", ""), ("Always",))
    if "activeDeadlineSeconds" in pod_spec:
        refusal = f"activeDeadlineSeconds in {kind} is not Supported"
        yield forbidden("spec.template.spec.activeDeadlineSeconds", refusal)


def validate_selector_kept(new: Manifest, old: Manifest) -> Iterator[FieldError]:
    selector = new["spec"].get("selector")
    if not same(selector, old["spec"].get("selector")):
        yield invalid("spec.selector", selector, "field is immutable")
