"""Which container runs again after it has ended, by its own rules, its own policy, and its pod's (N85).

Source: Kubernetes, pkg/api/v1/pod/util.go (ContainerShouldRestart, AllContainersCouldRestart).
"""

from __future__ import annotations

from holdfast.api.resource import Manifest

RESTART_ALL = "RestartAllContainers"


def matching_rule(container: Manifest, exit_code: int) -> str:
    """What the first of the container's own rules that matches the code wants; empty if none does."""
    for rule in container.get("restartPolicyRules") or ():
        codes = rule.get("exitCodes") or {}
        is_listed = exit_code in (codes.get("values") or ())
        if codes and is_listed == (codes.get("operator") == "In"):
            return str(rule.get("action") or "")
    return ""


def should_restart(container: Manifest, spec: Manifest, exit_code: int) -> bool:
    """`spec` is the pod's."""
    if matching_rule(container, exit_code) in ("Restart", RESTART_ALL):
        return True
    policy = container.get("restartPolicy") or spec.get("restartPolicy") or "Always"
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def may_restart_all(spec: Manifest) -> bool:
    """Whether the end of some container may be a reason to begin anew with all of them."""
    containers = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    return any(
        rule.get("action") == RESTART_ALL
        for container in containers
        for rule in container.get("restartPolicyRules") or ()
    )
