"""What the server fills into pod specs, in pods and in the templates of controllers alike (A263, A264, N2-N4)."""

from __future__ import annotations

from typing import Any

from holdfast.api.resource import Manifest

from .claim_defaults import default_claim_spec
from .network_volumes import default_network_volume
from .pod_resources import container_requests, is_of_pods

DEFAULT_MODE = 0o644
CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")


def default_template(template: Manifest) -> None:
    """Fills a pod template; without a spec there is nothing to fill but the metadata that is always shown."""
    template.setdefault("metadata", {})
    default_pod_spec(template.setdefault("spec", {}))


def default_pod(pod: Manifest) -> None:
    """Fills a pod: all that a template gets, and what only pods get (A264, N4)."""
    spec = pod.setdefault("spec", {})
    spec.setdefault("enableServiceLinks", True)
    for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        _request_what_is_limited(container.get("resources", {}))
        if spec.get("hostNetwork"):
            _open_ports_on_the_host(container)
    if spec.get("resources", {}).get("limits"):
        _request_for_the_pod(spec)
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        spec["terminationGracePeriodSeconds"] = 1
    default_pod_spec(spec)
    _default_status(pod.get("status", {}))


def _request_for_the_pod(spec: Manifest) -> None:
    """A pod with limits of its own asks for what its containers ask for, and else for all it may have."""
    resources = spec["resources"]
    wanted = {name: amount for name, amount in container_requests(spec).items() if is_of_pods(name)}
    limits = {name: amount for name, amount in resources["limits"].items() if is_of_pods(name)}
    resources["requests"] = {**limits, **wanted, **resources.get("requests", {})}


def _default_status(status: Manifest) -> None:
    """Both fields of the address agree, and what upstream always shows is there."""
    if status.get("podIP"):
        addresses = status.setdefault("podIPs", [{}])
        if addresses[0].get("ip") != status["podIP"]:
            status["podIPs"] = [{"ip": status["podIP"]}]
    elif status.get("podIPs"):
        status["podIP"] = status["podIPs"][0].get("ip", "")
    for condition in status.get("conditions", ()):
        condition.setdefault("lastProbeTime", None)
        condition.setdefault("lastTransitionTime", None)
    for kind in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for container in status.get(kind, ()):
            _default_container_status(container)


def _default_container_status(container: Manifest) -> None:
    for field, value in (("ready", False), ("restartCount", 0), ("image", ""), ("imageID", "")):
        container.setdefault(field, value)
    for state in (container.setdefault("state", {}), container.setdefault("lastState", {})):
        if "running" in state:
            state["running"].setdefault("startedAt", None)
        if "terminated" in state:
            state["terminated"].setdefault("exitCode", 0)
            state["terminated"].setdefault("startedAt", None)
            state["terminated"].setdefault("finishedAt", None)


def default_pod_spec(spec: Manifest) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    _mirror_service_account(spec)
    for members in CONTAINER_LISTS:
        for container in spec.get(members, ()):
            _default_container(container)
    for volume in spec.get("volumes", ()):
        _default_volume(volume)


def _mirror_service_account(spec: Manifest) -> None:
    """The field has an old name that clients may still use; the new one wins."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def _request_what_is_limited(resources: Manifest) -> None:
    limits = resources.get("limits")
    if not limits:
        return
    requests = resources.setdefault("requests", {})
    for name, limit in limits.items():
        requests.setdefault(name, limit)


def _open_ports_on_the_host(container: Manifest) -> None:
    for port in container.get("ports", ()):
        if not port.get("hostPort") and port.get("containerPort"):
            port["hostPort"] = port["containerPort"]


def _default_container(container: Manifest) -> None:
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = "Always" if _is_latest(container.get("image", "")) else "IfNotPresent"
    for port in container.get("ports", ()):
        port.setdefault("protocol", "TCP")
    for variable in container.get("env", ()):
        _default_source(variable.get("valueFrom", {}))
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in container:
            _default_probe(container[probe])
    for hook in ("postStart", "preStop"):
        _default_http_get(container.get("lifecycle", {}).get(hook, {}))


def _is_latest(image: str) -> bool:
    """Whether the image's tag is `latest`, said or unsaid; a digest pins it (N60)."""
    if "@" in image:
        return False
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return not colon or tag == "latest"


def _default_probe(probe: Manifest) -> None:
    for field, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        if not probe.get(field):
            probe[field] = value
    _default_http_get(probe)
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


def _default_http_get(handler: Manifest) -> None:
    if (get := handler.get("httpGet")) is not None:
        get["path"] = get.get("path") or "/"
        get["scheme"] = get.get("scheme") or "HTTP"


def _default_source(source: Manifest) -> None:
    """The value of an environment variable or a downward API file."""
    if "fieldRef" in source:
        source["fieldRef"].setdefault("apiVersion", "v1")
    if "resourceFieldRef" in source:
        source["resourceFieldRef"].setdefault("divisor", "0")


def _default_volume(volume: Manifest) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    for kind in ("secret", "configMap", "downwardAPI", "projected"):
        if kind in volume:
            volume[kind].setdefault("defaultMode", DEFAULT_MODE)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    if "image" in volume and not volume["image"].get("pullPolicy"):
        is_latest = _is_latest(volume["image"].get("reference", ""))
        volume["image"]["pullPolicy"] = "Always" if is_latest else "IfNotPresent"
    default_network_volume(volume)
    for item in volume.get("downwardAPI", {}).get("items", ()):
        _default_source(item)
    for source in volume.get("projected", {}).get("sources", ()):
        _default_projection(source)
    if (template := volume.get("ephemeral", {}).get("volumeClaimTemplate")) is not None:
        template.setdefault("metadata", {})
        default_claim_spec(template.setdefault("spec", {}))


def _default_projection(source: dict[str, Any]) -> None:
    if "serviceAccountToken" in source:
        source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    for item in source.get("downwardAPI", {}).get("items", ()):
        _default_source(item)
