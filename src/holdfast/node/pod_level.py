"""What a pod as a whole asks for and has, for its status (N142, N148). Pure.

Source: Kubernetes, pkg/kubelet/kubelet_pods.go (convertToAPIPodLevelResourcesStatus).
"""

from __future__ import annotations

from holdfast.api import quantity
from holdfast.api.core.pod_resources import pod_amounts, with_overhead
from holdfast.api.resource import Manifest

from .container_spec import LEAST_SHARES, is_limited, pod_resources
from .observed import Observed
from .pod import Pod

IN_GROUPS = ("cpu", "memory")
"""What a control group knows of."""


def pod_level(pod: Pod, observed: Observed, phase: str, old: Manifest) -> Manifest:
    """`resources` and, where there are any, `allocatedResources` of the status; `pod` is as it was granted."""
    granted = _asked(pod, "requests")
    return {"resources": _had(pod, observed, phase, old), **({"allocatedResources": granted} if granted else {})}


def _had(pod: Pod, observed: Observed, phase: str, old: Manifest) -> Manifest:
    """Of a pod that runs what its control group has: as it was told before, as long as that is not what was granted."""
    if phase != "Running":
        return _shown({kind: _asked(pod, kind) for kind in ("limits", "requests")})
    group = observed.sandbox.resources if observed.sandbox else None
    if group is not None and group != pod_resources(pod) and old.get("phase") == phase and "resources" in old:
        return dict(old["resources"])
    return _shown({"limits": _in_force(pod, "limits"), "requests": _in_force(pod, "requests")})


def _in_force(pod: Pod, kind: str) -> dict[str, str]:
    """A limit that some container lacks is not the pod's."""
    own = (pod.spec.get("resources") or {}).get(kind) or {}
    asked = _asked(pod, kind)
    known = {name: asked[name] for name in IN_GROUPS if name in asked and _counts(pod, kind, name, asked[name])}
    return {**own, **known}


def _counts(pod: Pod, kind: str, name: str, amount: str) -> bool:
    if kind == "limits":
        return is_limited(pod, name)
    return name != "cpu" or quantity.milli(amount) > LEAST_SHARES


def _asked(pod: Pod, kind: str) -> dict[str, str]:
    return with_overhead(pod.spec, kind, pod_amounts(pod.spec, kind))


def _shown(resources: dict[str, dict[str, str]]) -> Manifest:
    return {kind: dict(sorted(amounts.items())) for kind, amounts in resources.items() if amounts}
