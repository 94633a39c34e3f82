"""What a user names, and which pod and port it stands for by now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.api.conditions import is_ready, is_terminating
from holdfast.api.resource import Manifest

KINDS: Mapping[str, str] = {
    **dict.fromkeys(("pod", "pods", "po"), "Pod"),
    **dict.fromkeys(("statefulset", "statefulsets", "sts"), "StatefulSet"),
    **dict.fromkeys(("deployment", "deployments", "deploy"), "Deployment"),
    **dict.fromkeys(("replicaset", "replicasets", "rs"), "ReplicaSet"),
    **dict.fromkeys(("service", "services", "svc"), "Service"),
}


class Unclear(ValueError):
    """A target or a port that cannot be meant; the text is for people."""


@dataclass(frozen=True, slots=True)
class Target:
    """`sts/web-1` is a StatefulSet named so or, as long as there is none, the pod of ordinal 1 of `web`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


@dataclass(frozen=True, slots=True)
class Port:
    """From a port here (0 is any free one, None the same number) to one of the target, by number or name."""

    local: int | None
    remote: str


@dataclass(frozen=True, slots=True)
class Aim:
    """The pods that a target stands for, in a list request's words."""

    label_selector: str = ""
    field_selector: str = ""
    service_ports: Sequence[Manifest] | None = None
    """How a service numbers its ports; None for what is no service."""


def parse_target(text: str) -> Target:
    """`KIND/NAME`, or the name of a pod. Raises Unclear."""
    kind, slash, name = text.rpartition("/")
    if not slash:
        return Target("Pod", name)
    if kind.lower() not in KINDS or not name:
        raise Unclear(f"{text!r} is not one of pod/NAME, sts/NAME, sts/NAME-ORDINAL, svc/NAME, deploy/NAME, rs/NAME")
    return Target(KINDS[kind.lower()], name)


def parse_port(text: str) -> Port:
    """`REMOTE`, `LOCAL:REMOTE` or `:REMOTE`. Raises Unclear."""
    local, colon, remote = text.rpartition(":")
    if not remote or (remote.isdigit() and not _is_port(remote)):
        raise Unclear(f"{text!r} names no port: PORT, LOCAL:PORT, or :PORT for any free local one")
    if local and not _is_port(local):
        raise Unclear(f"{local!r} in {text!r} is no port number")
    return Port(int(local) if local else 0 if colon else None, remote)


def _is_port(text: str) -> bool:
    return text.isdecimal() and text.isascii() and 0 < int(text) < 65536


def choose(pods: Iterable[Manifest]) -> Manifest | None:
    """The oldest that is Ready and stays; None if there is none."""
    ready = [pod for pod in pods if is_ready(pod) and not is_terminating(pod)]
    return min(ready, key=_age, default=None)


def _age(pod: Manifest) -> tuple[str, str]:
    metadata = pod["metadata"]
    return str(metadata["creationTimestamp"]), str(metadata["name"])


def port_of(pod: Manifest, aim: Aim, remote: str) -> int:
    """The number of the port in the pod. Raises Unclear if it has no such port."""
    if aim.service_ports is None:
        return int(remote) if remote.isdigit() else _container_port(pod, remote, "TCP")
    for port in aim.service_ports:
        if remote in (str(port["port"]), port.get("name")):
            target = port.get("targetPort") or port["port"]
            return target if isinstance(target, int) else _container_port(pod, target, port.get("protocol") or "TCP")
    known = ", ".join(str(port["port"]) for port in aim.service_ports)
    raise Unclear(f"the service has no port {remote}; it has {known or 'none'}")


def _container_port(pod: Manifest, name: str, protocol: str) -> int:
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or ()]
    for port in ports:
        if port.get("name") == name and (port.get("protocol") or "TCP") == protocol:
            return int(port["containerPort"])
    known = ", ".join(port["name"] for port in ports if port.get("name"))
    raise Unclear(f"pod {pod['metadata']['name']} has no port named {name}; it has {known or 'none'}")
