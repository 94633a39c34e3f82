"""LimitRanger: what a namespace's limit ranges add to new pods, and what they refuse (A242).

Source: Kubernetes, plugin/pkg/admission/limitranger/admission.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from holdfast.api import quantity
from holdfast.api.core.limit_range import LIMIT_RANGES
from holdfast.api.core.pod import PODS
from holdfast.api.core.pod_resources import pod_amounts
from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import Cache
from holdfast.apiserver.call import Call

ANNOTATION = "kubernetes.io/limit-ranger"

Amounts = Mapping[str, str]


def fill(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """Gives the containers of a new or resized pod the requests and limits that they do not name."""
    if old is not None and (call.subresource != "resize" or old["metadata"].get("deletionTimestamp")):
        return
    for stored in cache.of(LIMIT_RANGES).select(call.namespace):
        _fill(new, _limits(stored.manifest))


def _limits(limit_range: Manifest) -> list[Manifest]:
    limits: list[Manifest] = (limit_range.get("spec") or {}).get("limits") or []
    return limits


def _fill(pod: Manifest, limits: list[Manifest]) -> None:
    usual = {
        kind: {
            name: amount for one in limits if one.get("type") == "Container" for name, amount in one.get(of, {}).items()
        }
        for kind, of in (("requests", "defaultRequest"), ("limits", "default"))
    }
    if not any(usual.values()):
        return
    told = []
    for member, called in (("containers", "container"), ("initContainers", "init container")):
        for container in pod.get("spec", {}).get(member) or ():
            told += [f"{text} for {called} {container.get('name', '')}" for text in _fill_container(container, usual)]
    if told:
        metadata = pod["metadata"]
        note = f"LimitRanger plugin set: {'; '.join(told)}"
        metadata["annotations"] = {**(metadata.get("annotations") or {}), ANNOTATION: note}


def _fill_container(container: Manifest, usual: Mapping[str, Amounts]) -> Iterator[str]:
    """Says what it has set."""
    for kind, called in (("requests", "request"), ("limits", "limit")):
        resources = container.get("resources") or {}
        given = resources.get(kind) or {}
        added = {name: amount for name, amount in usual[kind].items() if name not in given}
        if added:
            container["resources"] = {**resources, kind: {**given, **added}}
            yield f"{', '.join(sorted(added))} {called}"


def check(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """Of a new or resized pod, or of a claim. Raises Forbidden with all that is too much or too little."""
    if old is not None and old["metadata"].get("deletionTimestamp"):
        return
    if call.resource is PODS and old is not None and call.subresource != "resize":
        return
    for stored in cache.of(LIMIT_RANGES).select(call.namespace):
        limits = _limits(stored.manifest)
        found = _pod_errors(new, limits) if call.resource is PODS else _claim_errors(new, limits)
        if errors := list(dict.fromkeys(found)):
            raise call.forbidden(errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]")


def _pod_errors(pod: Manifest, limits: list[Manifest]) -> Iterator[str]:
    spec = pod["spec"]
    for limit in limits:
        if limit.get("type") == "Container":
            for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
                resources = container.get("resources") or {}
                yield from _errors(limit, resources.get("requests") or {}, resources.get("limits") or {})
        elif limit.get("type") == "Pod":
            yield from _errors(limit, pod_amounts(spec, "requests"), pod_amounts(spec, "limits"))


def _claim_errors(claim: Manifest, limits: list[Manifest]) -> Iterator[str]:
    requests = (claim["spec"].get("resources") or {}).get("requests") or {}
    for limit in limits:
        if limit.get("type") == "PersistentVolumeClaim":
            for name, least in sorted(limit.get("min", {}).items()):
                yield from _too_little("PersistentVolumeClaim", name, least, requests, {})
            for name, most in sorted(limit.get("max", {}).items()):
                yield from _claim_too_large(name, most, requests.get(name))


def _errors(limit: Manifest, requests: Amounts, limits: Amounts) -> Iterator[str]:
    of = limit["type"]
    for name, least in sorted(limit.get("min", {}).items()):
        yield from _too_little(of, name, least, requests, limits)
    for name, most in sorted(limit.get("max", {}).items()):
        yield from _too_much(of, name, most, requests, limits)
    for name, ratio in sorted(limit.get("maxLimitRequestRatio", {}).items()):
        yield from _too_far_apart(of, name, ratio, requests.get(name), limits.get(name))


def _too_little(of: str, name: str, least: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    """At most one thing is said of a resource."""
    rule = f"minimum {name} usage per {of} is {least}"
    if name not in requests:
        yield f"{rule}.  No request is specified"
    elif quantity.compare(requests[name], least) < 0:
        yield f"{rule}, but request is {requests[name]}"
    elif name in limits and quantity.compare(limits[name], least) < 0:
        yield f"{rule}, but limit is {limits[name]}"


def _too_much(of: str, name: str, most: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    rule = f"maximum {name} usage per {of} is {most}"
    if name not in limits:
        yield f"{rule}.  No limit is specified"
    elif quantity.compare(limits[name], most) > 0:
        yield f"{rule}, but limit is {limits[name]}"
    elif name in requests and quantity.compare(requests[name], most) > 0:
        yield f"{rule}, but request is {requests[name]}"


def _claim_too_large(name: str, most: str, request: str | None) -> Iterator[str]:
    rule = f"maximum {name} usage per PersistentVolumeClaim is {most}"
    if request is None:
        yield f"{rule}.  No request is specified"
    elif quantity.compare(request, most) > 0:
        yield f"{rule}, but request is {request}"


def _too_far_apart(of: str, name: str, most: str, request: str | None, limit: str | None) -> Iterator[str]:
    rule = f"{name} max limit to request ratio per {of} is {most}"
    asked, allowed = quantity.parse(request or "0"), quantity.parse(limit or "0")
    if not asked:
        yield f"{rule}, but no request is specified or request is 0"
    elif not allowed:
        yield f"{rule}, but no limit is specified or limit is 0"
    elif (ratio := allowed / asked) > quantity.parse(most):
        yield f"{rule}, but provided ratio is {float(ratio):f}"
