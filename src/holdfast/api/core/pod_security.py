"""The Pod Security Standards: what a level refuses of a pod, in which version of the standards (A244).

Source: Kubernetes, k8s.io/pod-security-admission, api/helpers.go and policy/registry.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from holdfast.api.errors import FieldError, invalid
from holdfast.api.resource import Manifest

from . import pod_security_baseline as baseline
from . import pod_security_restricted as restricted
from .pod_security_words import Refusal
from .safe_sysctls import SAFE_SINCE

PREFIX = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")
PRIVILEGED, BASELINE, RESTRICTED = LEVELS
LATEST = "latest"

_is_version = re.compile(r"v1\.(0|[1-9][0-9]*)", re.ASCII).fullmatch
_NEWEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Standard:
    """A level in a version, as `restricted:latest`."""

    level: str = PRIVILEGED
    version: str = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"

    @property
    def minor(self) -> int:
        return _NEWEST if self.version == LATEST else int(self.version.removeprefix("v1."))

    def refusals(self, metadata: Manifest, spec: Manifest) -> list[Refusal]:
        """All that it has against a pod, or against what a template makes."""
        found = (check.refuse(metadata, spec) for check in _checks(self))
        return [refusal for refusal in found if refusal is not None]


def standard_of(labels: Mapping[str, str], mode: str) -> tuple[Standard, list[FieldError]]:
    """What a namespace's labels say of `enforce` or `warn`, and what is wrong with them.

    What cannot be read is as strict as can be where it is enforced, and nothing elsewhere.
    """
    name = f"{PREFIX}{mode}"
    level, version = labels.get(name, PRIVILEGED), labels.get(f"{name}-version", LATEST)
    errors = []
    if level not in LEVELS:
        errors.append(invalid(_field(name), level, f"must be one of {', '.join(LEVELS)}"))
        level = RESTRICTED if mode == "enforce" else PRIVILEGED
    if version != LATEST and not _is_version(version):
        errors.append(invalid(_field(f"{name}-version"), version, 'must be "latest" or "v1.x"'))
        version = LATEST
    return Standard(level, version), errors


def _field(label: str) -> str:
    return f"metadata.labels[{label}]"


def details(refusals: Sequence[Refusal]) -> str:
    return ", ".join(f"{one.reason} ({one.detail})" for one in refusals)


def reasons(refusals: Sequence[Refusal]) -> str:
    return ", ".join(one.reason for one in refusals)


@dataclass(frozen=True, slots=True)
class _Check:
    """One rule of the standards, as it is from 1.`since` on."""

    id: str
    level: str
    since: int
    refuse: Callable[[Manifest, Manifest], Refusal | None]
    replaces: str = ""
    """The rule of the lower level that says less of the same."""


_CHECKS = (
    _Check("appArmorProfile", BASELINE, 0, baseline.app_armor),
    _Check("capabilities_baseline", BASELINE, 0, baseline.capabilities),
    _Check("hostNamespaces", BASELINE, 0, baseline.host_namespaces),
    _Check("hostPathVolumes", BASELINE, 0, baseline.host_path_volumes),
    _Check("hostPorts", BASELINE, 0, baseline.host_ports),
    _Check("hostProbesAndHostLifecycle", BASELINE, 34, baseline.probed_hosts),
    _Check("privileged", BASELINE, 0, baseline.privileged),
    _Check("procMount", BASELINE, 0, baseline.proc_mount),
    _Check("procMount", BASELINE, 35, restricted.unless_own_users(baseline.proc_mount)),
    _Check("seLinuxOptions", BASELINE, 0, baseline.se_linux(0)),
    _Check("seLinuxOptions", BASELINE, 31, baseline.se_linux(31)),
    _Check("seccompProfile_baseline", BASELINE, 0, baseline.seccomp_annotations),
    _Check("seccompProfile_baseline", BASELINE, 19, baseline.seccomp),
    *(_Check("sysctls", BASELINE, since, baseline.sysctls(since)) for since in SAFE_SINCE),
    _Check("windowsHostProcess", BASELINE, 0, baseline.host_process),
    _Check("allowPrivilegeEscalation", RESTRICTED, 8, restricted.escalation),
    _Check("allowPrivilegeEscalation", RESTRICTED, 25, restricted.unless_windows(restricted.escalation)),
    _Check("capabilities_restricted", RESTRICTED, 22, restricted.capabilities, "capabilities_baseline"),
    _Check(
        "capabilities_restricted",
        RESTRICTED,
        25,
        restricted.unless_windows(restricted.capabilities),
        "capabilities_baseline",
    ),
    _Check("procMount_restricted", RESTRICTED, 35, baseline.proc_mount, "procMount"),
    _Check("restrictedVolumes", RESTRICTED, 0, restricted.volumes, "hostPathVolumes"),
    _Check("runAsNonRoot", RESTRICTED, 0, restricted.non_root),
    _Check("runAsNonRoot", RESTRICTED, 35, restricted.unless_own_users(restricted.non_root)),
    _Check("runAsUser", RESTRICTED, 23, restricted.user),
    _Check("runAsUser", RESTRICTED, 35, restricted.unless_own_users(restricted.user)),
    _Check("seccompProfile_restricted", RESTRICTED, 19, restricted.seccomp, "seccompProfile_baseline"),
    _Check(
        "seccompProfile_restricted",
        RESTRICTED,
        25,
        restricted.unless_windows(restricted.seccomp),
        "seccompProfile_baseline",
    ),
)
"""By level, then by name: the order in which refusals are told. Of a name the last one that is old enough holds."""


def _checks(standard: Standard) -> Iterator[_Check]:
    levels = LEVELS[1 : LEVELS.index(standard.level) + 1]
    chosen = {each.id: each for each in _CHECKS if each.level in levels and each.since <= standard.minor}
    replaced = {each.replaces for each in chosen.values()}
    return (each for each in chosen.values() if each.id not in replaced)
