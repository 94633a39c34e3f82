"""What is allowed in a pod's spec and yet is likely to be a mistake: texts of Warning headers.

Source: Kubernetes, pkg/api/pod/warnings.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from holdfast.api import names, quantity
from holdfast.api.address_warnings import address_warnings
from holdfast.api.errors import show
from holdfast.api.resource import Manifest

from .node_labels import OLD_LABELS, term_warnings

_USE_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_USE_SYSCTLS = 'non-functional in v1.11+; use the "sysctls" field instead'
_OLD_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "seccomp.security.alpha.kubernetes.io/pod": _USE_SECCOMP,
    "security.alpha.kubernetes.io/sysctls": _USE_SYSCTLS,
    "security.alpha.kubernetes.io/unsafe-sysctls": _USE_SYSCTLS,
}
_OLD_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
_OLD_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
OLD_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
GO_NAMES = {"storageos": "storageOS"}
_NO_POD = "a null labelSelector results in matching no pod"
_REQUIRED, _PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def pod_warnings(pod: Manifest) -> list[str]:
    return [*_warnings("", pod["metadata"], pod.get("spec", {}))]


def new_pod_warnings(pod: Manifest) -> list[str]:
    return _of_name(pod, "this is used in the Pod's hostname")


def new_workload_warnings(workload: Manifest) -> list[str]:
    return _of_name(workload, "this is used in Pod names and hostnames")


def _of_name(manifest: Manifest, use: str) -> list[str]:
    """A name that pods take theirs from, and their hostname."""
    error = " ".join(names.dns_label.every(manifest["metadata"].get("name", "")))
    surprise = "which can result in surprising behavior; a DNS label is recommended"
    return [f"metadata.name: {use}, {surprise}: [{error}]"] if error else []


def workload_warnings(workload: Manifest) -> list[str]:
    """Of a kind whose template is at `spec.template`."""
    return template_warnings("spec.template", workload["spec"].get("template") or {})


def template_warnings(field: str, template: Manifest) -> list[str]:
    """Of what controllers make pods of; `field` is where it stands, as `spec.template`."""
    metadata, spec = template.get("metadata", {}), template.get("spec", {})
    return [*_warnings(f"{field}.", metadata, spec)]


def _warnings(at: str, metadata: Manifest, spec: Manifest) -> Iterator[str]:
    yield from _placement(f"{at}spec", spec)
    yield from _annotations(f"{at}metadata.annotations", metadata.get("annotations") or {})
    yield from _volumes(f"{at}spec.volumes", spec.get("volumes", []))
    yield from _repeated(f"{at}spec.hostAliases", "ip", spec.get("hostAliases", []))
    secrets = spec.get("imagePullSecrets", [])
    yield from _repeated(f"{at}spec.imagePullSecrets", "name", secrets)
    for i, secret in enumerate(secrets):
        if not secret.get("name"):
            yield f'{at}spec.imagePullSecrets[{i}].name: invalid empty name ""'
    yield from fraction_warnings(f"{at}spec.overhead", spec.get("overhead", {}))
    for field, container in _containers(f"{at}spec", spec):
        if at:  # of a pod itself, the kubelet takes the annotation to heart
            yield from _app_armor(f"{at}metadata.annotations", metadata.get("annotations") or {}, container)
        yield from _container(field, container)
    yield from _ports(f"{at}spec", spec)
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        text = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{at}spec.terminationGracePeriodSeconds: {text}"
    yield from _pod_affinity(f"{at}spec.affinity", spec.get("affinity", {}))
    for i, server in enumerate(spec.get("dnsConfig", {}).get("nameservers", ())):
        yield from address_warnings(f"{at}spec.dnsConfig.nameservers[{i}]", server)
    for i, alias in enumerate(spec.get("hostAliases", ())):
        yield from address_warnings(f"{at}spec.hostAliases[{i}].ip", alias.get("ip", ""))


def _containers(field: str, spec: Manifest) -> Iterator[tuple[str, Manifest]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for i, container in enumerate(spec.get(kind, ())):
            yield f"{field}.{kind}[{i}]", container


def _placement(field: str, spec: Manifest) -> Iterator[str]:
    for key in spec.get("nodeSelector", ()):
        if key in OLD_LABELS:
            yield f"{field}.nodeSelector[{key}]: {OLD_LABELS[key]}"
    affinity = spec.get("affinity", {}).get("nodeAffinity", {})
    at = f"{field}.affinity.nodeAffinity"
    for i, term in enumerate(affinity.get(_REQUIRED, {}).get("nodeSelectorTerms", ())):
        yield from term_warnings(f"{at}.{_REQUIRED}.nodeSelectorTerms[{i}]", term)
    for i, weighted in enumerate(affinity.get(_PREFERRED, ())):
        term = weighted.get("preference", {})
        yield from term_warnings(f"{at}.{_PREFERRED}[{i}].preference", term, is_preference=True)
    for i, constraint in enumerate(spec.get("topologySpreadConstraints", ())):
        key, at = constraint.get("topologyKey", ""), f"{field}.topologySpreadConstraints[{i}]"
        if key in OLD_LABELS:
            yield f"{at}.topologyKey: {key} is {OLD_LABELS[key]}"
        if "labelSelector" not in constraint:
            yield f"{at}.labelSelector: {_NO_POD}"


def _pod_affinity(field: str, affinity: Manifest) -> Iterator[str]:
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind, {})
        for i, term in enumerate(terms.get(_REQUIRED, ())):
            if "labelSelector" not in term:
                yield f"{field}.{kind}.{_REQUIRED}[{i}].labelSelector: {_NO_POD}"
        for i, weighted in enumerate(terms.get(_PREFERRED, ())):
            if "labelSelector" not in weighted.get("podAffinityTerm", {}):
                yield f"{field}.{kind}.{_PREFERRED}[{i}].podAffinityTerm.labelSelector: {_NO_POD}"


def _annotations(field: str, annotations: Manifest) -> Iterator[str]:
    for key, text in _OLD_ANNOTATIONS.items():
        if key in annotations:
            yield f"{field}[{key}]: {text}"
    for key in annotations:
        if key.startswith(_OLD_SECCOMP):
            yield f"{field}[{key}]: {_USE_SECCOMP}"
            return


def _app_armor(field: str, annotations: Manifest, container: Manifest) -> Iterator[str]:
    key = f"{_OLD_APP_ARMOR}{container.get('name', '')}"
    if key in annotations and "appArmorProfile" not in container.get("securityContext", {}):
        yield f'{field}[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'


def _volumes(field: str, volumes: list[Manifest]) -> Iterator[str]:
    for i, volume in enumerate(volumes):
        for kind, text in OLD_VOLUMES.items():
            if kind in volume:
                yield f"{field}[{i}].{GO_NAMES.get(kind, kind)}: {text}"
    for volume in volumes:
        claim = volume.get("ephemeral", {}).get("volumeClaimTemplate", {}).get("spec", {})
        for kind in ("requests", "limits") if claim else ():
            at = f"{field}[{volumes.index(volume)}].ephemeral.volumeClaimTemplate.spec.resources.{kind}"
            yield from fraction_warnings(at, claim.get("resources", {}).get(kind, {}), ("storage",))
        yield from _overlaps(volume)


def _overlaps(volume: Manifest) -> Iterator[str]:
    """Files of one volume that would overwrite each other."""
    title = f"volume {show(volume.get('name', ''))}"
    for kind, what in _kinds_of_files(volume, "secretName"):
        yield from _colliding(f"{title} ({what})", _paths(volume[kind].get("items", ())))
    if "projected" not in volume:
        return
    before: set[str] = set()
    for source in volume["projected"].get("sources", ()):
        if not source:
            yield f"{title} (Projected) has no sources provided"
            continue
        what, paths = _projected(source)
        if paths:
            yield from _colliding(f"{title} (Projected {what})", paths)
            yield from _colliding(f"{title} (Projected {what})", sorted([*set(paths), *before]))
            before.update(paths)


def _projected(source: Manifest) -> tuple[str, list[str]]:
    for kind, what in _kinds_of_files(source, "name"):
        return what, _paths(source[kind].get("items", ()))
    if "serviceAccountToken" in source:
        return "ServiceAccountToken", [source["serviceAccountToken"].get("path", "")]
    if "clusterTrustBundle" in source:
        bundle = source["clusterTrustBundle"]
        name = bundle.get("name") or bundle.get("signerName", "")
        return f"ClusterTrustBundle {show(name)}", [bundle.get("path", "")]
    return "", []


def _kinds_of_files(source: Manifest, name_of_secret: str) -> Iterator[tuple[str, str]]:
    if "items" in source.get("configMap", {}):
        yield "configMap", f"ConfigMap {show(source['configMap'].get('name', ''))}"
    if "items" in source.get("secret", {}):
        yield "secret", f"Secret {show(source['secret'].get(name_of_secret, ''))}"
    if "items" in source.get("downwardAPI", {}):
        yield "downwardAPI", "DownwardAPI"


def _paths(items: Iterable[Manifest]) -> list[str]:
    return [item.get("path", "") for item in items]


def _colliding(title: str, paths: Iterable[str]) -> Iterator[str]:
    seen: list[str] = []
    for path in (path.rstrip("/") for path in paths):
        other = next((other for other in seen if path and other and _collide(path, other)), None)
        if other is not None:
            yield f"{title}: overlapping paths: {show(path)} with {show(other)}"
        seen.append(path)


def _collide(path: str, other: str) -> bool:
    return f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/")


def _repeated(field: str, member: str, items: list[Manifest]) -> Iterator[str]:
    seen: set[str] = set()
    for i, item in enumerate(items):
        value = item.get(member, "")
        if value in seen:
            yield f"{field}[{i}].{member}: duplicate {member} {show(value)}"
        seen.add(value)


def _container(field: str, container: Manifest) -> Iterator[str]:
    resources = container.get("resources", {})
    for name in ("memory", "ephemeral-storage"):
        for kind in ("limits", "requests"):
            yield from fraction_warnings(f"{field}.resources.{kind}", resources.get(kind, {}), (name,))
    earlier: set[str] = set()
    for i, variable in enumerate(container.get("env", ())):
        name, value = variable.get("name", ""), variable.get("value", "")
        builds_on_it = f"$({name})" in value and value != f"$({name})" and "valueFrom" not in variable
        if name in earlier and not builds_on_it:
            text = f"hides previous definition of {show(name)}, which may be dropped when using apply"
            yield f"{field}.env[{i}]: {text}"
        earlier.add(name)


def fraction_warnings(
    field: str, amounts: Manifest, counted: Iterable[str] = ("memory", "ephemeral-storage")
) -> Iterator[str]:
    for name in counted:
        if name in amounts and quantity.milli(amounts[name]) % 1000:
            yield f"{field}[{name}]: fractional byte value {show(amounts[name])} is invalid, must be an integer"


def _ports(field: str, spec: Manifest) -> Iterator[str]:
    """Ports of all containers that the pod's one network cannot tell apart."""
    earlier: dict[tuple[Any, Any], list[tuple[str, Manifest]]] = {}
    for container_field, container in _containers(field, spec):
        for i, port in enumerate(container.get("ports", ())):
            at = f"{container_field}.ports[{i}]"
            if port.get("hostIP") and not port.get("hostPort"):
                yield f"{at}: hostIP set without hostPort: {_as_struct(port)}"
            others = earlier.setdefault((port.get("containerPort"), port.get("protocol")), [])
            for other_at, other in others:
                if text := _conflict(port, other):
                    yield f"{at}: {text} port definition with {other_at}"
            others.append((at, port))


def _conflict(port: Manifest, other: Manifest) -> str:
    ip, other_ip = port.get("hostIP", ""), other.get("hostIP", "")
    number, other_number = port.get("hostPort", 0), other.get("hostPort", 0)
    if ip == other_ip and number == other_number:
        return "duplicate"
    if number == 0 or other_number == 0:
        return "overlapping"
    if number == other_number and (ip == "") != (other_ip == ""):
        return "dangerously ambiguous"
    return ""


def _as_struct(port: Manifest) -> str:
    numbers = f"HostPort:{port.get('hostPort', 0)} ContainerPort:{port.get('containerPort', 0)}"
    return f"{{Name:{port.get('name', '')} {numbers} Protocol:{port.get('protocol', '')} HostIP:{port['hostIP']}}}"
