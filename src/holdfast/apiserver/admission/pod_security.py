"""PodSecurity: a namespace's labels say which of the Pod Security Standards its pods have to meet (A244).

Pods are refused, or warned of; of what only makes pods, there is no more than a warning.

Source: Kubernetes, k8s.io/pod-security-admission, admission/admission.go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from holdfast.api.core import pod_security
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.pod import PODS
from holdfast.api.core.pod_security import PRIVILEGED, Standard, details, reasons, standard_of
from holdfast.api.errors import FieldError
from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import Cache
from holdfast.apiserver.call import Call

MODES = ("enforce", "audit", "warn")
MOST_PODS = 3000
"""So many are looked at when a namespace becomes stricter."""
_SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_OF = "container.seccomp.security.alpha.kubernetes.io/"


def check_pod(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """Raises Forbidden."""
    labels = _labels_of(cache, call.namespace)
    if not labels or (old is not None and not _is_other(new, old)):
        return
    enforced, _ = standard_of(labels, "enforce")
    if refusals := enforced.refusals(new["metadata"], new["spec"]):
        raise call.forbidden(f'violates PodSecurity "{enforced}": {details(refusals)}')
    _warn(call, labels, new)


def warn_of_template(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    labels = _labels_of(cache, call.namespace)
    template = _template(new) if labels else None
    if template:
        _warn(call, labels, template)


def check_namespace(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """Raises Invalid; warns of pods that would be refused from now on."""
    labels, before = _own_labels(new), _own_labels(old or {})
    if labels == before:
        return
    errors = _errors(labels)
    if errors and errors != _errors(before):
        raise call.invalid(errors)
    if old is not None:
        call.warnings += _of_pods(
            cache, call.name, standard_of(labels, "enforce")[0], standard_of(before, "enforce")[0]
        )


def _labels_of(cache: Cache, namespace: str) -> Mapping[str, str]:
    stored = cache.of(NAMESPACES).get("", namespace)
    return _own_labels(stored.manifest) if stored is not None else {}


def _own_labels(namespace: Manifest) -> Mapping[str, str]:
    labels = (namespace.get("metadata") or {}).get("labels") or {}
    return {name: value for name, value in labels.items() if name.startswith(pod_security.PREFIX)}


def _errors(labels: Mapping[str, str]) -> list[FieldError]:
    return [error for mode in MODES for error in standard_of(labels, mode)[1]]


def _warn(call: Call, labels: Mapping[str, str], pod: Manifest) -> None:
    """`pod` may be a template."""
    asked, _ = standard_of(labels, "warn")
    if refusals := asked.refusals(pod.get("metadata") or {}, pod.get("spec") or {}):
        call.warnings.append(f'would violate PodSecurity "{asked}": {details(refusals)}')


def _template(manifest: Manifest) -> Manifest | None:
    """Of a PodTemplate, a CronJob, or anything with its template in its spec."""
    spec = manifest.get("spec") or {}
    spec = (spec.get("jobTemplate") or {}).get("spec") or spec
    template: Manifest | None = manifest.get("template") or spec.get("template")
    return template


def _is_other(new: Manifest, old: Manifest) -> bool:
    """Whether what may change about a pod has changed so that it matters here."""
    if _annotation(new, _SECCOMP) != _annotation(old, _SECCOMP):
        return True
    before = {each["name"]: each for each in _containers(old)}
    return any(
        each["name"] not in before
        or each.get("image") != before[each["name"]].get("image")
        or _annotation(new, f"{_SECCOMP_OF}{each['name']}") != _annotation(old, f"{_SECCOMP_OF}{each['name']}")
        for each in _containers(new)
    )


def _annotation(pod: Manifest, name: str) -> str | None:
    value: str | None = (pod["metadata"].get("annotations") or {}).get(name)
    return value


def _containers(pod: Manifest) -> Iterable[Manifest]:
    spec = pod["spec"]
    return [*spec["containers"], *spec.get("initContainers", ()), *spec.get("ephemeralContainers", ())]


def _of_pods(cache: Cache, namespace: str, enforced: Standard, before: Standard) -> list[str]:
    """What is said of the pods that are there when their namespace becomes stricter."""
    levels = pod_security.LEVELS
    is_relaxed = enforced.version == before.version and levels.index(enforced.level) <= levels.index(before.level)
    if enforced.level == PRIVILEGED or is_relaxed:
        return []
    pods = list(cache.of(PODS).select(namespace))
    said = []
    if len(pods) > MOST_PODS:
        checked = f"the first {MOST_PODS} of {len(pods)} existing pods"
        said.append(f"new PodSecurity enforce level only checked against {checked}")
    names = defaultdict(list)
    for stored in pods[:MOST_PODS]:
        pod = stored.manifest
        if refusals := enforced.refusals(pod["metadata"], pod["spec"]):
            names[reasons(refusals)].append(stored.name)
    if names:
        said.append(f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{enforced}"')
    return [*said, *sorted(f"{_counted(sorted(found))}: {why}" for why, found in names.items())]


def _counted(names: list[str]) -> str:
    others = len(names) - 1
    return names[0] if not others else f"{names[0]} (and {others} other pod{'s' * (others > 1)})"
