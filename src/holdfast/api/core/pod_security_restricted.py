"""The rules that the level `restricted` adds: what a pod has to say to have no power at all (A244).

Source: Kubernetes, k8s.io/pod-security-admission, policy/check_*.go.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.api.resource import Manifest

from . import pod_security_baseline as baseline
from .pod_security_words import Refusal, containers, context, listed, naming, quoted, setters

_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)

Refuse = Callable[[Manifest, Manifest], Refusal | None]


def unless_windows(refuse: Refuse) -> Refuse:
    """What means nothing there need not be said."""
    return lambda metadata, spec: None if (spec.get("os") or {}).get("name") == "windows" else refuse(metadata, spec)


def unless_own_users(refuse: Refuse) -> Refuse:
    """Root in a user namespace of the pod's own is nobody outside of it."""
    return lambda metadata, spec: None if spec.get("hostUsers") is False else refuse(metadata, spec)


def escalation(metadata: Manifest, spec: Manifest) -> Refusal | None:
    bad = naming(spec, lambda each: context(each).get("allowPrivilegeEscalation") is not False)
    what = f"{listed('container', bad)} must set securityContext.allowPrivilegeEscalation=false"
    return Refusal("allowPrivilegeEscalation != false", what) if bad else None


def capabilities(metadata: Manifest, spec: Manifest) -> Refusal | None:
    keeping = naming(spec, lambda each: "ALL" not in ((context(each).get("capabilities") or {}).get("drop") or ()))
    beyond = sorted({name for each in containers(spec) for name in baseline.added(each)} - {"NET_BIND_SERVICE"})
    said = []
    if keeping:
        said.append(f'{listed("container", keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if beyond:
        adding = naming(spec, lambda each: bool(set(baseline.added(each)) & set(beyond)))
        rule = f"must not include {quoted(beyond)} in securityContext.capabilities.add"
        said.append(f"{listed('container', adding)} {rule}")
    return Refusal("unrestricted capabilities", "; ".join(said)) if said else None


def volumes(metadata: Manifest, spec: Manifest) -> Refusal | None:
    bad = {
        volume["name"]: next((member for member in volume if member != "name"), "unknown")
        for volume in spec.get("volumes") or ()
        if not _VOLUMES & volume.keys()
    }
    if not bad:
        return None
    uses = f"use{'s' * (len(bad) == 1)}"
    kinds = listed("restricted volume type", sorted(set(bad.values())))
    return Refusal("restricted volume types", f"{listed('volume', bad)} {uses} {kinds}")


def non_root(metadata: Manifest, spec: Manifest) -> Refusal | None:
    reason = "runAsNonRoot != true"
    if who := setters(spec, lambda each: each.get("runAsNonRoot") is False):
        return Refusal(reason, f"{' and '.join(who)} must not set securityContext.runAsNonRoot=false")
    silent = [] if context(spec).get("runAsNonRoot") else naming(spec, lambda each: "runAsNonRoot" not in context(each))
    what = f"pod or {listed('container', silent)} must set securityContext.runAsNonRoot=true"
    return Refusal(reason, what) if silent else None


def user(metadata: Manifest, spec: Manifest) -> Refusal | None:
    who = setters(spec, lambda each: each.get("runAsUser") == 0)
    return Refusal("runAsUser=0", f"{' and '.join(who)} must not set runAsUser=0") if who else None


def seccomp(metadata: Manifest, spec: Manifest) -> Refusal | None:
    if refusal := baseline.seccomp(metadata, spec):
        return refusal
    if "seccompProfile" in context(spec):
        return None
    silent = naming(spec, lambda each: "seccompProfile" not in context(each))
    rule = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Refusal("seccompProfile", f"pod or {listed('container', silent)} {rule}") if silent else None
