"""What is wrong with a Job, and what may not change in one (W-E)."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api.core.pod_structure import pod_spec_structure
from holdfast.api.core.pod_validation import validate_template
from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.field_rules import in_order, not_negative, supported
from holdfast.api.meaning import same
from holdfast.api.resource import Manifest
from holdfast.api.selector_validation import validate_label_selector
from holdfast.api.selectors import selector_from_manifest

from .job_defaults import UID_LABEL

_NUMBERS = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_SCHEDULING = ("affinity", "nodeSelector", "tolerations", "schedulingGates")


def validate(job: Manifest) -> list[FieldError]:
    spec = job["spec"]
    errors = [*_generated_selector(job)] if not spec.get("manualSelector") else []
    errors += validate_label_selector("spec.selector", spec.get("selector"))
    if spec.get("selector") is None:
        errors.append(required("spec.selector"))
    return [*errors, *_selector_matches(spec), *validate_job_spec("spec", spec)]


def _selector_matches(spec: Manifest) -> Iterator[FieldError]:
    labels = spec["template"]["metadata"].get("labels")
    if not selector_from_manifest(spec.get("selector")).matches(labels):
        refusal = "`selector` does not match template `labels`"
        yield invalid("spec.template.metadata.labels", in_order(labels), refusal)


def validate_job_spec(field: str, spec: Manifest) -> Iterator[FieldError]:
    """All but the selector, which a CronJob's template does not have."""
    for number in _NUMBERS:
        yield from not_negative(f"{field}.{number}", spec.get(number))
    modes = ("NonIndexed", "Indexed")
    yield from supported(f"{field}.completionMode", spec.get("completionMode", "NonIndexed"), modes)
    if spec.get("completionMode") == "Indexed":
        yield from _indexed(field, spec)
    yield from _failure_policy(f"{field}.podFailurePolicy", spec.get("podFailurePolicy", {}))
    yield from _replacement(f"{field}.podReplacementPolicy", spec)
    yield from validate_template(f"{field}.template", spec.get("template", {}))
    policy = spec.get("template", {}).get("spec", {}).get("restartPolicy")
    if policy == "Always":
        yield required(f"{field}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
    if policy != "Never" and spec.get("podFailurePolicy"):
        refusal = f'only "Never" is supported when `{field}.podFailurePolicy` is set'
        yield invalid(f"{field}.template.spec.restartPolicy", policy, refusal)


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """Upstream checks the selector twice on an update; the message names an error once, the causes do not."""
    now, then = new["spec"], old["spec"]
    errors = [*_selector_matches(now)]
    if now.get("completionMode") != "Indexed" or now.get("completions") != now.get("parallelism"):
        errors += _kept("spec.completions", now.get("completions"), then.get("completions"))
    if not same(now.get("selector"), then.get("selector")):
        errors.append(invalid("spec.selector", _shown(now.get("selector") or {}), "field is immutable"))
    errors += _template_kept(new, old)
    for name in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        errors += _kept(f"spec.{name}", now.get(name), then.get(name))
    return errors


def _template_kept(new: Manifest, old: Manifest) -> Iterator[FieldError]:
    """While a job is suspended and was never started, where its pods may run can still be changed."""
    now, then = new["spec"]["template"], old["spec"]["template"]
    if old["spec"].get("suspend") and not old.get("status", {}).get("startTime"):
        now = {"metadata": then.get("metadata", {}), "spec": _with_scheduling_of(now["spec"], then["spec"])}
    if not same(now["spec"], then["spec"]):
        yield invalid("spec.template.spec", pod_spec_structure(now["spec"]), "field is immutable")
    elif not same(now.get("metadata"), then.get("metadata")):
        yield invalid("spec.template", now, "field is immutable")


def _with_scheduling_of(spec: Manifest, other: Manifest) -> Manifest:
    rest = {name: value for name, value in spec.items() if name not in _SCHEDULING}
    return {**rest, **{name: other[name] for name in _SCHEDULING if name in other}}


def _kept(field: str, new: object, old: object) -> Iterator[FieldError]:
    if not same(new, old):
        yield invalid(field, new, "field is immutable")


def _generated_selector(job: Manifest) -> Iterator[FieldError]:
    selector, uid = job["spec"].get("selector") or {}, job["metadata"].get("uid", "")
    if selector and selector != {"matchLabels": {UID_LABEL: uid}}:
        yield invalid("spec.selector", _shown(selector), "`selector` not auto-generated")


def _shown(selector: Manifest) -> Manifest:
    return {name: in_order(value) if name == "matchLabels" else value for name, value in selector.items()}


def _indexed(field: str, spec: Manifest) -> Iterator[FieldError]:
    completions, parallelism = spec.get("completions"), spec.get("parallelism", 0)
    if completions is None:
        yield required(f"{field}.completions", "when completion mode is Indexed")
    if parallelism > 100_000:
        refusal = "must be less than or equal to 100000 when completion mode is Indexed"
        yield invalid(f"{field}.parallelism", parallelism, refusal)


def _replacement(field: str, spec: Manifest) -> Iterator[FieldError]:
    policy = spec.get("podReplacementPolicy", "TerminatingOrFailed")
    policies = ("Failed",) if "podFailurePolicy" in spec else ("Failed", "TerminatingOrFailed")
    yield from supported(field, policy, policies)


def _failure_policy(field: str, policy: Manifest) -> Iterator[FieldError]:
    for i, rule in enumerate(policy.get("rules", ())):
        at = f"{field}.rules[{i}]"
        yield from supported(f"{at}.action", rule.get("action", ""), _ACTIONS)
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
        if codes and conditions:
            yield invalid(at, "", "specifying both OnExitCodes and OnPodConditions is not supported")
        elif not codes and not conditions:
            yield invalid(at, "", "specifying one of OnExitCodes and OnPodConditions is required")
        if codes:
            yield from _exit_codes(f"{at}.onExitCodes", codes)


def _exit_codes(field: str, codes: Manifest) -> Iterator[FieldError]:
    operator, values = codes.get("operator", ""), codes.get("values", [])
    yield from supported(f"{field}.operator", operator, ("In", "NotIn"))
    if not values:
        yield invalid(f"{field}.values", values, "at least one value is required")
    for i, value in enumerate(values):
        if operator == "In" and value == 0:
            yield invalid(f"{field}.values[{i}]", value, "must not be 0 for the In operator")
    if values != sorted(values):
        yield invalid(f"{field}.values", values, "must be ordered")
