"""What pods and containers may ask for of users, kernel and host.

Source: Kubernetes, pkg/apis/core/validation (validatePodSpecSecurityContext, ValidateSecurityContext).
Options for Windows are stored unread: every node is Linux.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from holdfast.api.errors import FieldError, duplicate, forbidden, invalid, not_supported, required, too_long
from holdfast.api.field_rules import required_and_supported, supported, user_id
from holdfast.api.resource import Manifest
from holdfast.api.structure import Shape, fields, texts

from .path_validation import descending_path
from .pod_structure import CONTAINER_SECURITY_CONTEXT

_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_SECCOMP_PROFILE = Shape(texts("type") + fields("localhostProfile"))
_LONGEST_PATH = 4095
_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = rf"^({_SEGMENT}[\./])*{_SEGMENT}$"
_LONGEST_SYSCTL = 253
_OF_NETWORK = ("net.",)
_OF_IPC = ("kernel.shm", "kernel.msg", "fs.mqueue.")
_NO_LINUX = "cannot be set for a windows pod"
_CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")


def validate_pod_security_context(field: str, spec: Manifest) -> Iterator[FieldError]:
    context = spec.get("securityContext", {})
    for member in ("fsGroup", "runAsUser", "runAsGroup"):
        yield from user_id(f"{field}.{member}", context.get(member))
    for i, group in enumerate(context.get("supplementalGroups", ())):
        yield from user_id(f"{field}.supplementalGroups[{i}]", group)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        refusal = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield invalid(f"{field}.shareProcessNamespace", True, refusal)
    yield from _sysctls(f"{field}.sysctls", spec)
    yield from _one_of(field, context, "fsGroupChangePolicy", ("Always", "OnRootMismatch"))
    yield from _seccomp(f"{field}.seccompProfile", context.get("seccompProfile"))
    yield from _app_armor(f"{field}.appArmorProfile", context.get("appArmorProfile"))
    yield from _one_of(field, context, "supplementalGroupsPolicy", ("Merge", "Strict"))
    yield from _one_of(field, context, "seLinuxChangePolicy", ("MountOption", "Recursive"))


def validate_container_security_context(field: str, context: Manifest, has_own_users: bool) -> Iterator[FieldError]:
    """`has_own_users` says whether the pod has a user namespace of its own."""
    yield from user_id(f"{field}.runAsUser", context.get("runAsUser"))
    yield from user_id(f"{field}.runAsGroup", context.get("runAsGroup"))
    yield from _one_of(field, context, "procMount", ("Default", "Unmasked"))
    if context.get("procMount") == "Unmasked" and not has_own_users:
        yield invalid(f"{field}.procMount", "Unmasked", "`hostUsers` must be false to use `Unmasked`")
    yield from _seccomp(f"{field}.seccompProfile", context.get("seccompProfile"))
    if context.get("allowPrivilegeEscalation") is False:
        yield from _escalations(field, context)
    yield from _app_armor(f"{field}.appArmorProfile", context.get("appArmorProfile"))


def validate_host_users(field: str, spec: Manifest) -> Iterator[FieldError]:
    """Users of the pod's own do not go with namespaces of the host."""
    if spec.get("hostUsers") is not False:
        return
    for member, name in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if spec.get(member):
            yield forbidden(f"{field}.{name}", "when `pod.Spec.HostUsers` is false")


def validate_operating_system(field: str, spec: Manifest) -> Iterator[FieldError]:
    if "os" not in spec:
        return
    name = spec["os"].get("name", "")
    yield from required_and_supported(f"{field}.os.name", name, ("linux", "windows"))
    if name == "linux":
        yield from _without_windows(field, spec)
    elif name == "windows":
        yield from _without_linux(field, spec)


def _one_of(field: str, context: Manifest, member: str, values: tuple[str, ...]) -> Iterator[FieldError]:
    if member in context:
        yield from supported(f"{field}.{member}", context[member], values)


def _escalations(field: str, context: Manifest) -> Iterator[FieldError]:
    struct = CONTAINER_SECURITY_CONTEXT.render(context)
    refusal = "cannot set `allowPrivilegeEscalation` to false and"
    if context.get("privileged"):
        yield invalid(field, struct, f"{refusal} `privileged` to true")
    for capability in context.get("capabilities", {}).get("add", ()):
        if capability == "CAP_SYS_ADMIN":
            yield invalid(field, struct, f"{refusal} `capabilities.Add` CAP_SYS_ADMIN")


def _sysctls(field: str, spec: Manifest) -> Iterator[FieldError]:
    seen: set[str] = set()
    for i, sysctl in enumerate(spec.get("securityContext", {}).get("sysctls", ())):
        at, name = f"{field}[{i}].name", sysctl.get("name", "")
        if not name:
            yield required(at)
        elif len(name) > _LONGEST_SYSCTL or not re.fullmatch(_SYSCTL, name):
            yield invalid(at, name, f"must have at most {_LONGEST_SYSCTL} characters and match regex {_SYSCTL}")
        elif name in seen:
            yield duplicate(at, name)
        dotted = name.replace("/", ".")
        if spec.get("hostNetwork") and dotted.startswith(_OF_NETWORK):
            yield invalid(at, name, "may not be specified when 'hostNetwork' is true")
        elif spec.get("hostIPC") and (dotted.startswith(_OF_IPC) or dotted == "kernel.sem"):
            yield invalid(at, name, "may not be specified when 'hostIPC' is true")
        seen.add(name)


def _seccomp(field: str, profile: Manifest | None) -> Iterator[FieldError]:
    if profile is None:
        return
    kind, path = profile.get("type", ""), profile.get("localhostProfile")
    if not kind:
        yield required(f"{field}.type", "type is required when seccompProfile is set")
    else:
        yield from supported(f"{field}.type", kind, _PROFILES)
    if kind == "Localhost":
        if path is None:
            yield required(f"{field}.localhostProfile", "must be set when seccomp type is Localhost")
        else:
            yield from descending_path(f"{field}.localhostProfile", path)
    elif path is not None:
        refusal = "can only be set when seccomp type is Localhost"
        yield invalid(f"{field}.localhostProfile", _SECCOMP_PROFILE.render(profile), refusal)


def _app_armor(field: str, profile: Manifest | None) -> Iterator[FieldError]:
    if profile is None:
        return
    kind, path = profile.get("type", ""), profile.get("localhostProfile")
    if kind == "Localhost":
        yield from _app_armor_path(f"{field}.localhostProfile", path)
    elif not kind:
        yield required(f"{field}.type", "type is required when appArmorProfile is set")
    elif kind not in _PROFILES:
        yield not_supported(f"{field}.type", kind, _PROFILES)
    elif path is not None:
        yield invalid(f"{field}.localhostProfile", path, "can only be set when AppArmor type is Localhost")


def _app_armor_path(field: str, path: str | None) -> Iterator[FieldError]:
    if path is not None and path.strip() != path:
        yield invalid(field, path, "must not be padded with whitespace")
    elif not path:
        yield required(field, "must be set when AppArmor type is Localhost")
    if len((path or "").encode()) > _LONGEST_PATH:
        yield too_long(field, _LONGEST_PATH)


def _without_windows(field: str, spec: Manifest) -> Iterator[FieldError]:
    refusal = "windows options cannot be set for a linux pod"
    if "windowsOptions" in spec.get("securityContext", {}):
        yield forbidden(f"{field}.securityContext.windowsOptions", refusal)
    for at, context in _container_contexts(field, spec):
        if "windowsOptions" in context:
            yield forbidden(f"{at}.windowsOptions", refusal)


def _without_linux(field: str, spec: Manifest) -> Iterator[FieldError]:
    context, inside = spec.get("securityContext", {}), f"{field}.securityContext"
    present = [(f"{inside}.{member}", member in context) for member in ("appArmorProfile", "seLinuxOptions")]
    present.append((f"{field}.hostUsers", "hostUsers" in spec))
    present += [(f"{field}.{member}", bool(spec.get(member))) for member in ("hostPID", "hostIPC")]
    for member in ("seccompProfile", "fsGroup", "fsGroupChangePolicy"):
        present.append((f"{inside}.{member}", member in context))
    present.append((f"{inside}.sysctls", bool(context.get("sysctls"))))
    present.append((f"{field}.shareProcessNamespace", "shareProcessNamespace" in spec))
    for member in ("runAsUser", "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy", "seLinuxChangePolicy"):
        present.append((f"{inside}.{member}", member in context))
    of_container = [
        *("appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem"),
        *("privileged", "allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup"),
    ]
    for at, own in _container_contexts(field, spec):
        present += [(f"{at}.{member}", member in own) for member in of_container]
    for name, is_there in present:
        if is_there:
            yield forbidden(name, _NO_LINUX)


def _container_contexts(field: str, spec: Manifest) -> Iterator[tuple[str, Manifest]]:
    for kind in _CONTAINER_LISTS:
        for i, container in enumerate(spec.get(kind, ())):
            yield f"{field}.{kind}[{i}].securityContext", container.get("securityContext", {})
