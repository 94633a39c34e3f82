"""Why a service leads nowhere, and why a name does not resolve (D rules)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.conditions import is_ready
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.resource import Manifest

from .chain import Cause, kubectl, listed, name_of, subject
from .evidence import Evidence
from .pods import why_pod

DOMAIN = ("cluster", "local")
SERVICE_NAME = "kubernetes.io/service-name"


def why_service(evidence: Evidence, service: Manifest) -> Cause | None:
    """None if it leads somewhere."""
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return None
    if not spec.get("selector"):
        return _unselective(evidence, service)
    pods = _selected(evidence, service)
    if not pods:
        return _selects_nothing(evidence, service)
    if not spec.get("publishNotReadyAddresses") and not any(is_ready(pod) for pod in pods):
        says = f"none of its pods is ready: {listed([name_of(pod) for pod in pods])}"
        return Cause(subject(service), says, because=why_pod(evidence, pods[0]))
    return _portless(service, pods)


def _unselective(evidence: Evidence, service: Manifest) -> Cause | None:
    name = name_of(service)
    for found in evidence.all(ENDPOINT_SLICES):
        if (found["metadata"].get("labels") or {}).get(SERVICE_NAME) == name and found.get("endpoints"):
            return None
    says = "it has no selector, and nobody has made an EndpointSlice that says where it leads"
    return Cause(subject(service), says, kubectl(service, f"set selector service/{name} KEY=VALUE"))


def _selected(evidence: Evidence, service: Manifest) -> list[Manifest]:
    selector = service["spec"]["selector"].items()
    return [pod for pod in evidence.all(PODS) if selector <= (pod["metadata"].get("labels") or {}).items()]


def _selects_nothing(evidence: Evidence, service: Manifest) -> Cause:
    selector = service["spec"]["selector"]
    wanted = ",".join(f"{key}={value}" for key, value in selector.items())
    says = f"no pod has the labels that it selects ({wanted})"
    near = _nearest(evidence.all(PODS), selector)
    if near is None:
        return Cause(subject(service), says, kubectl(service, "get pods --show-labels"))
    labels = near["metadata"].get("labels") or {}
    values = ",".join(f"{key}={labels[key]}" for key in selector if key in labels)
    says = f"{says}; pod {name_of(near)} comes near, with {values}"
    return Cause(subject(service), says, kubectl(service, f"set selector service/{name_of(service)} {values}"))


def _nearest(pods: Sequence[Manifest], selector: dict[str, str]) -> Manifest | None:
    """A pod that has one of the keys, with whatever value."""
    near = [pod for pod in pods if selector.keys() & (pod["metadata"].get("labels") or {}).keys()]
    return min(near, key=name_of, default=None)


def _portless(service: Manifest, pods: Sequence[Manifest]) -> Cause | None:
    named = {
        port["targetPort"] for port in service["spec"].get("ports") or () if isinstance(port.get("targetPort"), str)
    }
    has = {
        port.get("name")
        for pod in pods
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
    }
    missing = sorted(named - has)
    if not missing:
        return None
    known = listed(sorted(name for name in has if name)) or "none"
    says = f"its pods have no port named {listed(missing)} (targetPort); they have {known}"
    return Cause(subject(service), says, kubectl(service, f"edit service {name_of(service)}"))


@dataclass(frozen=True, slots=True)
class DnsName:
    """A name of the cluster, taken apart; `host` is empty for a service's own."""

    host: str
    service: str
    namespace: str

    def __str__(self) -> str:
        return ".".join(each for each in (self.host, self.service, self.namespace, "svc", *DOMAIN) if each)


def parse_name(text: str, namespace: str) -> DnsName | None:
    """As a pod of the namespace would write it: SERVICE or POD.SERVICE, alone or with what may follow.

    That is `.NAMESPACE`, `.svc`, `.cluster.local`. None if it cannot be a name of the cluster.
    """
    labels = text.rstrip(".").lower().split(".")
    if tuple(labels[-2:]) == DOMAIN:
        labels = labels[:-2]
        if labels[-1:] != ["svc"]:
            return None
    is_full = labels[-1:] == ["svc"]
    labels = labels[:-1] if is_full else labels
    match labels:
        case [service] if not is_full:
            return DnsName("", service, namespace)
        case [service, other] if is_full:
            return DnsName("", service, other)
        case [host, service]:
            return DnsName(host, service, namespace)
        case [host, service, other]:
            return DnsName(host, service, other)
    return None


def why_name(evidence: Evidence, name: DnsName) -> Cause | None:
    """None if it resolves; the evidence is of the name's own namespace."""
    what, service = f"name/{name}", evidence.get(SERVICES, name.service)
    if service is None:
        says = f"it does not exist in namespace {name.namespace}"
        cause = Cause(f"service/{name.service}", says, making_headless(evidence, name.service))
        return Cause(what, "it does not resolve", because=cause)
    if name.host:
        return _host(evidence, what, name, service)
    if service["spec"].get("clusterIP") == "None" and (because := why_service(evidence, service)):
        return Cause(what, "it does not resolve: a headless service is known by its ready pods", because=because)
    return None


def making_headless(evidence: Evidence, name: str) -> str:
    """The command that makes a service of that name, for the pods of the set that counts on it."""
    where = {"metadata": {"namespace": evidence.namespace}}
    create = kubectl(where, f"create service clusterip {name} --clusterip=None")
    for statefulset in evidence.all(STATEFUL_SETS):
        if statefulset["spec"].get("serviceName") == name:
            labels = (statefulset["spec"]["selector"].get("matchLabels") or {}).items()
            selector = ",".join(f"{key}={value}" for key, value in labels)
            return f"{create} && {kubectl(where, f'set selector service/{name} {selector}')}"
    return create


def _host(evidence: Evidence, what: str, name: DnsName, service: Manifest) -> Cause | None:
    pod = next((pod for pod in evidence.all(PODS) if (pod["spec"].get("hostname") or name_of(pod)) == name.host), None)
    if pod is None:
        return Cause(what, f"it does not resolve: there is no pod {name.host}", kubectl(service, "get pods"))
    subdomain = pod["spec"].get("subdomain") or ""
    if subdomain != name.service or not pod["spec"].get("hostname"):
        says = f"it does not resolve: pod {name_of(pod)} is named below {subdomain or 'no service'}, not {name.service}"
        return Cause(what, says, f"serviceName of its set has to be {name.service}; it cannot be changed later")
    if service["spec"].get("selector") and pod not in _selected(evidence, service):
        return Cause(
            what,
            f"it does not resolve: the service does not select pod {name_of(pod)}",
            because=why_service(evidence, service) or _other_labels(service, pod),
        )
    if is_ready(pod) or service["spec"].get("publishNotReadyAddresses"):
        return None
    says = f"it does not resolve before pod {name_of(pod)} is ready (publishNotReadyAddresses would change that)"
    return Cause(what, says, because=why_pod(evidence, pod))


def _other_labels(service: Manifest, pod: Manifest) -> Cause:
    wanted = " ".join(f"{key}={value}" for key, value in service["spec"]["selector"].items())
    return Cause(
        subject(pod), f"it lacks the labels {wanted}", kubectl(pod, f"label pod {name_of(pod)} {wanted} --overwrite")
    )
