"""The rules of the level `baseline`: what gives a pod power over its node (A244).

Source: Kubernetes, k8s.io/pod-security-admission, policy/check_*.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from holdfast.api.errors import show
from holdfast.api.resource import Manifest

from .pod_security_words import Refusal, containers, context, contexts, listed, naming, quoted, setters
from .safe_sysctls import SAFE_SINCE

_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
_PROFILES = ("RuntimeDefault", "Localhost")
_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_OF_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
_SE_LINUX_TYPES = {0: ("", "container_t", "container_init_t", "container_kvm_t"), 31: ("container_engine_t",)}


def app_armor(metadata: Manifest, spec: Manifest) -> Refusal | None:
    who = setters(spec, lambda each: not _has_profile(each, "appArmorProfile"))
    values = _bad_profiles(spec, "appArmorProfile")
    annotations = sorted(
        f"{name}={show(value)}"
        for name, value in (metadata.get("annotations") or {}).items()
        if name.startswith(_APP_ARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    )
    if annotations:
        who.append("annotations" if len(annotations) > 1 else "annotation")
    if not who:
        return None
    values += annotations
    reason = f"forbidden AppArmor profile{'s' * (len(values) > 1)}"
    return Refusal(reason, f"{' and '.join(who)} must not set AppArmor profile type to {quoted(values)}")


def _has_profile(of: Manifest, member: str) -> bool:
    """Whether a security context has a harmless one; having none is."""
    return member not in of or of[member].get("type") in _PROFILES


def _bad_profiles(spec: Manifest, member: str) -> list[str]:
    bad = (each[member].get("type", "") for each in contexts(spec) if not _has_profile(each, member))
    return sorted(set(bad))


def capabilities(metadata: Manifest, spec: Manifest) -> Refusal | None:
    bad = naming(spec, lambda each: not set(added(each)) <= _CAPABILITIES)
    if not bad:
        return None
    beyond = sorted({name for each in containers(spec) for name in added(each)} - _CAPABILITIES)
    what = f"{listed('container', bad)} must not include {quoted(beyond)} in securityContext.capabilities.add"
    return Refusal("non-default capabilities", what)


def added(container: Manifest) -> list[str]:
    found: list[str] = (context(container).get("capabilities") or {}).get("add") or []
    return found


def host_namespaces(metadata: Manifest, spec: Manifest) -> Refusal | None:
    shared = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return Refusal("host namespaces", ", ".join(shared)) if shared else None


def host_path_volumes(metadata: Manifest, spec: Manifest) -> Refusal | None:
    bad = [volume["name"] for volume in spec.get("volumes") or () if "hostPath" in volume]
    return Refusal("hostPath volumes", listed("volume", bad)) if bad else None


def host_ports(metadata: Manifest, spec: Manifest) -> Refusal | None:
    def ports(container: Manifest) -> list[str]:
        return [str(port["hostPort"]) for port in container.get("ports") or () if port.get("hostPort")]

    bad = naming(spec, lambda each: bool(ports(each)))
    if not bad:
        return None
    numbers = sorted({port for each in containers(spec) for port in ports(each)})
    uses = f"use{'s' * (len(bad) == 1)} hostPort{'s' * (len(numbers) > 1)}"
    return Refusal("hostPort", f"{listed('container', bad)} {uses} {', '.join(numbers)}")


def probed_hosts(metadata: Manifest, spec: Manifest) -> Refusal | None:
    bad = sorted(set(naming(spec, lambda each: any(_hosts(each)))))
    if not bad:
        return None
    hosts = sorted({host for each in containers(spec) for host in _hosts(each) if host})
    uses = f"use{'s' * (len(bad) == 1)}"
    what = f"{listed('container', bad)} {uses} {listed('probe or lifecycle host', hosts)}"
    return Refusal("probe or lifecycle host", what)


def _hosts(container: Manifest) -> Iterator[str]:
    """That probes and handlers name instead of the pod."""
    probes = [container.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
    handlers = [(container.get("lifecycle") or {}).get(name) for name in ("postStart", "preStop")]
    for each in (*probes, *handlers):
        for way in ("httpGet", "tcpSocket"):
            yield ((each or {}).get(way) or {}).get("host") or ""


def privileged(metadata: Manifest, spec: Manifest) -> Refusal | None:
    bad = naming(spec, lambda each: bool(context(each).get("privileged")))
    what = f"{listed('container', bad)} must not set securityContext.privileged=true"
    return Refusal("privileged", what) if bad else None


def proc_mount(metadata: Manifest, spec: Manifest) -> Refusal | None:
    def mount(container: Manifest) -> str:
        return str(context(container).get("procMount") or "Default")

    bad = naming(spec, lambda each: mount(each) != "Default")
    if not bad:
        return None
    kinds = sorted({mount(each) for each in containers(spec)} - {"Default"})
    return Refusal("procMount", f"{listed('container', bad)} must not set securityContext.procMount to {quoted(kinds)}")


def se_linux(minor: int) -> Callable[[Manifest, Manifest], Refusal | None]:
    allowed = {name for since, names in _SE_LINUX_TYPES.items() if since <= minor for name in names}

    def refuse(metadata: Manifest, spec: Manifest) -> Refusal | None:
        def options(of: Manifest) -> Manifest:
            return of.get("seLinuxOptions") or {}

        def is_bad(of: Manifest) -> bool:
            found = options(of)
            return found.get("type", "") not in allowed or bool(found.get("user") or found.get("role"))

        who = setters(spec, is_bad)
        if not who:
            return None
        all_options = [options(each) for each in contexts(spec)]
        types = sorted({each.get("type", "") for each in all_options} - allowed)
        said = [listed("type", types)] if types else []
        said += [f"{name} may not be set" for name in ("user", "role") if any(each.get(name) for each in all_options)]
        what = f"{' and '.join(who)} set forbidden securityContext.seLinuxOptions: {'; '.join(said)}"
        return Refusal("seLinuxOptions", what)

    return refuse


def seccomp_annotations(metadata: Manifest, spec: Manifest) -> Refusal | None:
    """As it was before there was a field."""
    given = metadata.get("annotations") or {}
    names = [_SECCOMP_OF_POD, *(f"{_SECCOMP}{each.get('name', '')}" for each in containers(spec))]
    bad = sorted({f"{name}={show(given[name])}" for name in names if name in given and not _is_harmless(given[name])})
    what = f"forbidden annotation{'s' * (len(bad) > 1)} {', '.join(bad)}"
    return Refusal("seccompProfile", what) if bad else None


def _is_harmless(profile: str) -> bool:
    return profile in ("runtime/default", "docker/default") or profile.startswith("localhost/")


def seccomp(metadata: Manifest, spec: Manifest) -> Refusal | None:
    who = setters(spec, lambda each: not _has_profile(each, "seccompProfile"))
    if not who:
        return None
    bad = quoted(_bad_profiles(spec, "seccompProfile"))
    return Refusal("seccompProfile", f"{' and '.join(who)} must not set securityContext.seccompProfile.type to {bad}")


def sysctls(minor: int) -> Callable[[Manifest, Manifest], Refusal | None]:
    allowed = {name for since, names in SAFE_SINCE.items() if since <= minor for name in names}

    def refuse(metadata: Manifest, spec: Manifest) -> Refusal | None:
        bad = [each["name"] for each in context(spec).get("sysctls") or () if each["name"] not in allowed]
        return Refusal("forbidden sysctls", ", ".join(bad)) if bad else None

    return refuse


def host_process(metadata: Manifest, spec: Manifest) -> Refusal | None:
    who = setters(spec, lambda each: bool((each.get("windowsOptions") or {}).get("hostProcess")))
    what = f"{' and '.join(who)} must not set securityContext.windowsOptions.hostProcess=true"
    return Refusal("hostProcess", what) if who else None
