"""What is wrong with a Job, and what may not change in one (W-E)."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api import names
from holdfast.api.conditions import is_true
from holdfast.api.core.pod_structure import pod_spec_structure
from holdfast.api.core.pod_validation import validate_template
from holdfast.api.errors import FieldError, invalid, required, too_long
from holdfast.api.field_rules import domain_prefixed_path, in_order, not_negative, supported
from holdfast.api.meaning import same
from holdfast.api.resource import Manifest
from holdfast.api.selector_validation import validate_label_selector
from holdfast.api.selectors import selector_from_manifest

from .job_defaults import UID_LABEL
from .job_policy_validation import validate_failure_policy, validate_success_policy

_NUMBERS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_MOST = 100_000
_MOST_OF_MANY = 10_000
_MOST_MANAGER = 63
_SCHEDULING = ("affinity", "nodeSelector", "tolerations", "schedulingGates")


def validate(job: Manifest) -> list[FieldError]:
    spec = job["spec"]
    errors = [*_generated_selector(job)] if not spec.get("manualSelector") else []
    errors += validate_label_selector("spec.selector", spec.get("selector"))
    if spec.get("selector") is None:
        errors.append(required("spec.selector"))
    return [*errors, *_selector_matches(spec), *validate_job_spec("spec", spec), *_host_names(job)]


def _selector_matches(spec: Manifest) -> Iterator[FieldError]:
    labels = spec["template"]["metadata"].get("labels")
    if not selector_from_manifest(spec.get("selector")).matches(labels):
        refusal = "`selector` does not match template `labels`"
        yield invalid("spec.template.metadata.labels", in_order(labels), refusal)


def validate_job_spec(field: str, spec: Manifest) -> Iterator[FieldError]:
    """All but the selector, which a CronJob's template does not have."""
    for number in _NUMBERS:
        yield from not_negative(f"{field}.{number}", spec.get(number))
    yield from _manager(f"{field}.managedBy", spec.get("managedBy"))
    modes = ("NonIndexed", "Indexed")
    yield from supported(f"{field}.completionMode", spec.get("completionMode", "NonIndexed"), modes)
    if spec.get("completionMode") == "Indexed":
        yield from _indexed(field, spec)
    else:
        yield from _not_indexed(field, spec)
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        yield required(f"{field}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    yield from validate_failure_policy(f"{field}.podFailurePolicy", spec)
    yield from validate_success_policy(f"{field}.successPolicy", spec)
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
    """While a job is suspended and has no pods, where they may run and what they may use can be changed."""
    now, then = new["spec"]["template"], old["spec"]["template"]
    if old["spec"].get("suspend") and _is_at_rest(old):
        spec = _with_resources_of(_with_scheduling_of(now["spec"], then["spec"]), then["spec"])
        now = {"metadata": then.get("metadata", {}), "spec": spec}
    if not same(now["spec"], then["spec"]):
        yield invalid("spec.template.spec", pod_spec_structure(now["spec"]), "field is immutable")
    elif not same(now.get("metadata"), then.get("metadata")):
        yield invalid("spec.template", now, "field is immutable")


def _is_at_rest(job: Manifest) -> bool:
    """Whether it was never started, or its suspension has come to its end."""
    status = job.get("status", {})
    return not status.get("active") and (not status.get("startTime") or is_true(job, "Suspended"))


def _with_resources_of(spec: Manifest, other: Manifest) -> Manifest:
    """The containers with what those of the same name use there."""
    for kind in ("initContainers", "containers"):
        resources = {each.get("name"): each.get("resources", {}) for each in other.get(kind, ())}
        if kind in spec:
            containers = [{**each, "resources": resources.get(each.get("name"), {})} for each in spec[kind]]
            spec = {**spec, kind: containers}
    return spec


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
    completions, parallelism, most = spec.get("completions"), spec.get("parallelism", 0), spec.get("maxFailedIndexes")
    if completions is None:
        yield required(f"{field}.completions", "when completion mode is Indexed")
    if parallelism > _MOST:
        refusal = f"must be less than or equal to {_MOST} when completion mode is Indexed"
        yield invalid(f"{field}.parallelism", parallelism, refusal)
    if most is not None:
        if completions is not None and most > completions:
            yield invalid(f"{field}.maxFailedIndexes", most, "must be less than or equal to completions")
        if most > _MOST:
            yield invalid(f"{field}.maxFailedIndexes", most, f"must be less than or equal to {_MOST}")
    if "backoffLimitPerIndex" in spec and completions is not None and completions > _MOST:
        yield from _very_many(field, parallelism, most)


def _very_many(field: str, parallelism: int, most: int | None) -> Iterator[FieldError]:
    """The bounds that keep a status with very many indexes small."""
    refusal = (
        f"must be less than or equal to {_MOST_OF_MANY} when completions are above {_MOST} "
        "and used with backoff limit per index"
    )
    if most is None:
        yield required(f"{field}.maxFailedIndexes", f"must be specified when completions is above {_MOST}")
    if parallelism > _MOST_OF_MANY:
        yield invalid(f"{field}.parallelism", parallelism, refusal)
    if most is not None and most > _MOST_OF_MANY:
        yield invalid(f"{field}.maxFailedIndexes", most, refusal)


def _not_indexed(field: str, spec: Manifest) -> Iterator[FieldError]:
    for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
        if name in spec:
            yield invalid(f"{field}.{name}", spec[name], "requires indexed completion mode")


def _manager(field: str, name: str | None) -> Iterator[FieldError]:
    if name is None:
        return
    yield from domain_prefixed_path(field, name)
    if len(name) > _MOST_MANAGER:
        yield too_long(field, _MOST_MANAGER)


def _host_names(job: Manifest) -> Iterator[FieldError]:
    """The last pod's host name must be one; it is made of the job's name and the index."""
    spec, name = job["spec"], job["metadata"].get("name", "")
    if spec.get("completionMode") != "Indexed" or not spec.get("completions") or spec["completions"] < 1:
        return
    last = f"{name}-{spec['completions'] - 1}"
    if names.dns_label(last):
        yield invalid("metadata.name", name, f"will not able to create pod with invalid DNS label: {last}")


def _replacement(field: str, spec: Manifest) -> Iterator[FieldError]:
    policy = spec.get("podReplacementPolicy", "TerminatingOrFailed")
    policies = ("Failed",) if "podFailurePolicy" in spec else ("Failed", "TerminatingOrFailed")
    yield from supported(field, policy, policies)
