"""What the kinds that keep pods by a template share: a selector that matches it, and a template that may restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from holdfast.api.core.pod_validation import validate_template
from holdfast.api.errors import FieldError, forbidden, invalid, not_supported, required
from holdfast.api.field_rules import in_order, not_negative
from holdfast.api.meaning import same
from holdfast.api.resource import Manifest
from holdfast.api.selector_validation import validate_label_selector
from holdfast.api.selectors import selector_from_manifest


def selector_and_template(
    spec: Manifest, kind: str, template: Callable[[], Iterator[FieldError]], refusal: str = "invalid label selector"
) -> Iterator[FieldError]:
    """An empty selector would own every pod, none would own no pod: neither matches any template (S166, S167).

    `template` yields what is wrong with it, which nobody looks at while the selector is malformed.
    """
    selector = spec.get("selector")
    malformed = [*validate_label_selector("spec.selector", selector)]
    yield from malformed
    if selector is None:
        yield required("spec.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid("spec.selector", {}, f"empty selector is invalid for {kind}")
    if malformed:
        yield invalid("spec.selector", shown_selector(selector), refusal)
        return
    yield from selector_matches(spec)
    yield from template()


def shown_selector(selector: Manifest | None) -> Manifest | None:
    """As messages show it: labels sorted."""
    if not selector or "matchLabels" not in selector:
        return selector
    return {**selector, "matchLabels": in_order(selector["matchLabels"])}


def selector_matches(spec: Manifest) -> Iterator[FieldError]:
    labels = spec.get("template", {}).get("metadata", {}).get("labels")
    if not selector_from_manifest(spec.get("selector")).matches(labels):
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
        yield invalid("spec.selector", shown_selector(selector), "field is immutable")


def counts_within(status: Manifest, counts: Sequence[str], within: Sequence[str]) -> Iterator[FieldError]:
    """What a controller may say of its replicas: no count below nothing, none of `within` above all there are."""
    for name in counts:
        yield from not_negative(f"status.{name}", status.get(name))
    for name in within:
        if status.get(name, 0) > status.get("replicas", 0):
            yield invalid(f"status.{name}", status.get(name, 0), "cannot be greater than status.replicas")
    available = status.get("availableReplicas", 0)
    if within and available > status.get("readyReplicas", 0):
        yield invalid("status.availableReplicas", available, "cannot be greater than readyReplicas")


def collisions_kept(new: Manifest, old: Manifest) -> Iterator[FieldError]:
    """The count of names that were taken only grows: it is what makes the next name another one."""
    count, before = new.get("status", {}).get("collisionCount"), old.get("status", {}).get("collisionCount")
    if before is not None and (count is None or count < before):
        yield invalid("status.collisionCount", count or 0, "cannot be decremented")
