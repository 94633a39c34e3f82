"""What is wrong with a Job, and what may not change in one (W-E)."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api import names
from holdfast.api.apps.workload_validation import selector_matches, shown_selector
from holdfast.api.conditions import is_true
from holdfast.api.core.pod_structure import pod_spec_structure
from holdfast.api.core.pod_validation import validate_template
from holdfast.api.errors import FieldError, invalid, not_supported, required, too_long
from holdfast.api.field_rules import domain_prefixed_path, in_order, not_negative, supported
from holdfast.api.meaning import same
from holdfast.api.resource import Manifest
from holdfast.api.selector_validation import validate_label_selector
from holdfast.api.selectors import selector_from_manifest

from .job_defaults import own_labels
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
_SCHEDULING = ("nodeSelector", "tolerations", "schedulingGates")


def validate(job: Manifest) -> list[FieldError]:
    generated = [] if job["spec"].get("manualSelector") else [*_generated(job)]
    return [*generated, *_spec(job["spec"]), *_host_names(job)]


def _spec(spec: Manifest) -> Iterator[FieldError]:
    yield from validate_job_spec("spec", spec)
    selector = spec.get("selector")
    if selector is None:
        yield required("spec.selector")
    malformed = [*validate_label_selector("spec.selector", selector)]
    yield from malformed
    if not malformed:
        yield from selector_matches(spec)


def validate_job_spec(field: str, spec: Manifest) -> Iterator[FieldError]:
    """All but the selector, which a CronJob's template does not have."""
    for number in _NUMBERS:
        yield from not_negative(f"{field}.{number}", spec.get(number))
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        yield required(f"{field}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    yield from _manager(f"{field}.managedBy", spec.get("managedBy"))
    modes = ("NonIndexed", "Indexed")
    yield from supported(f"{field}.completionMode", spec.get("completionMode", "NonIndexed"), modes)
    if spec.get("completionMode") == "Indexed":
        yield from _indexed(field, spec)
    else:
        yield from _not_indexed(field, spec)
    yield from validate_failure_policy(f"{field}.podFailurePolicy", spec)
    yield from validate_success_policy(f"{field}.successPolicy", spec)
    yield from _replacement(f"{field}.podReplacementPolicy", spec)
    yield from validate_template(f"{field}.template", spec.get("template", {}))
    yield from _restart_policy(f"{field}.template.spec.restartPolicy", spec)


def _restart_policy(field: str, spec: Manifest) -> Iterator[FieldError]:
    """A job has an end, and its failed pods are to be seen if its policy looks at them."""
    policy = spec.get("template", {}).get("spec", {}).get("restartPolicy", "")
    if policy in ("", "Always"):
        yield required(field, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield not_supported(field, policy, ("OnFailure", "Never"))
    elif policy != "Never" and "podFailurePolicy" in spec:
        yield invalid(field, policy, 'only "Never" is supported when podFailurePolicy is specified')


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """Upstream checks the spec twice on an update; the message names an error once, the causes do not."""
    now, then = new["spec"], old["spec"]
    errors = [*_spec(now), *_completions_kept(now, then)]
    if not same(now.get("selector"), then.get("selector")):
        errors.append(invalid("spec.selector", shown_selector(now.get("selector")), "field is immutable"))
    errors += _template_kept(new, old)
    for name in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        errors += _kept(f"spec.{name}", now.get(name), then.get(name))
    return errors


def _completions_kept(now: Manifest, then: Manifest) -> Iterator[FieldError]:
    """An indexed job may grow and shrink, its parallelism with it."""
    count = now.get("completions")
    if now.get("completionMode") != "Indexed":
        yield from _kept("spec.completions", count, then.get("completions"))
    elif count is not None and count not in (then.get("completions"), now.get("parallelism")):
        yield invalid("spec.completions", count, "can only be modified in tandem with spec.parallelism")


def _template_kept(new: Manifest, old: Manifest) -> Iterator[FieldError]:
    """While a job is suspended and has no pods, where they may run and what they may use can be changed."""
    now, then = new["spec"]["template"], old["spec"]["template"]
    given = now
    if old["spec"].get("suspend") and _is_at_rest(old):
        spec = _with_resources_of(_with_scheduling_of(now["spec"], then["spec"]), then["spec"])
        now = {"metadata": then.get("metadata", {}), "spec": spec}
    if not same(now["spec"], then["spec"]):
        yield invalid("spec.template.spec", pod_spec_structure(given["spec"]), "field is immutable")
    elif not same(now.get("metadata"), then.get("metadata")):
        yield invalid("spec.template", given, "field is immutable")


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
    """Of affinity, only that to nodes says where pods may run; the rest is about other pods."""
    rest = {name: value for name, value in spec.items() if name not in ("affinity", *_SCHEDULING)}
    affinity = {name: value for name, value in (spec.get("affinity") or {}).items() if name != "nodeAffinity"}
    if nodes := (other.get("affinity") or {}).get("nodeAffinity"):
        affinity["nodeAffinity"] = nodes
    scheduling = {name: other[name] for name in _SCHEDULING if name in other}
    return {**rest, **scheduling, "affinity": affinity}


def _kept(field: str, new: object, old: object) -> Iterator[FieldError]:
    if not same(new, old):
        yield invalid(field, new, "field is immutable")


def _generated(job: Manifest) -> Iterator[FieldError]:
    """The labels by which a job finds its pods are the server's, unless it says that it knows better."""
    spec, selector = job["spec"], job["spec"].get("selector")
    if selector is None:
        return
    expected = own_labels(job)
    labels = spec["template"]["metadata"].get("labels") or {}
    for key, value in expected.items():
        field = f"spec.template.metadata.labels[{key}]"
        if key not in labels:
            yield required(field, f"must be '{value}'")
        elif labels[key] != value:
            yield invalid(field, in_order(labels), f"must be '{value}'")
    if [*validate_label_selector("", selector)]:
        return
    if not selector_from_manifest(selector).matches(expected):
        yield invalid("spec.selector", shown_selector(selector), "`selector` not auto-generated")


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
