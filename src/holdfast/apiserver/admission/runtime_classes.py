"""Pods that name a RuntimeClass get its overhead and go where it runs (A245)."""

from __future__ import annotations

from holdfast.api.meaning import same
from holdfast.api.node.runtime_class import RUNTIME_CLASSES
from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import Cache
from holdfast.apiserver.call import Call


def apply(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """Raises Forbidden for a class that does not exist or that the pod contradicts."""
    if old is not None:
        return
    spec = new.setdefault("spec", {})
    name = spec.get("runtimeClassName")
    if name is None:
        if spec.get("overhead"):
            raise call.forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
        return
    found = cache.of(RUNTIME_CLASSES).get("", name)
    if found is None:
        raise call.forbidden(f'pod rejected: RuntimeClass "{name}" not found')
    overhead = (found.manifest.get("overhead") or {}).get("podFixed")
    given = spec.get("overhead")
    if given and not same({"requests": given}, {"requests": overhead}):
        raise call.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
    if overhead:
        spec["overhead"] = {**overhead}
    _schedule(call, spec, found.manifest.get("scheduling") or {})


def _schedule(call: Call, spec: Manifest, scheduling: Manifest) -> None:
    """Both selectors have to match; the tolerations are those of both."""
    selector = {**(spec.get("nodeSelector") or {})}
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        if selector.setdefault(key, value) != value:
            raise call.forbidden(
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {selector[key]}"
            )
    if selector:
        spec["nodeSelector"] = selector
    tolerations = [*(spec.get("tolerations") or ())]
    tolerations += [each for each in scheduling.get("tolerations") or () if each not in tolerations]
    if tolerations:
        spec["tolerations"] = tolerations
