"""Why a container does not run, or runs and is not ready."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.secret import SECRETS
from holdfast.api.resource import Manifest, Resource

from .chain import Cause, kubectl, name_of, subject
from .evidence import Evidence

NOT_EXECUTABLE, NOT_FOUND = 126, 127
PROBES = {"Readiness": "readinessProbe", "Liveness": "livenessProbe", "Startup": "startupProbe"}


@dataclass(frozen=True, slots=True)
class Container:
    """One of a pod's, as it is wanted and as it is."""

    spec: Manifest
    status: Manifest
    is_init: bool

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def title(self) -> str:
        return f"init container {self.name}" if self.is_init else f"container {self.name}"

    @property
    def waiting(self) -> Manifest:
        return (self.status.get("state") or {}).get("waiting") or {}

    @property
    def ended(self) -> Manifest:
        """How it ended: now, or the last time."""
        state, last = self.status.get("state") or {}, self.status.get("lastState") or {}
        return state.get("terminated") or last.get("terminated") or {}

    @property
    def is_running(self) -> bool:
        return "running" in (self.status.get("state") or {})


def containers(pod: Manifest) -> Iterator[Container]:
    """Those for initialisation first."""
    status = pod.get("status") or {}
    for specs, statuses, is_init in (
        ("initContainers", "initContainerStatuses", True),
        ("containers", "containerStatuses", False),
    ):
        by_name = {each["name"]: each for each in status.get(statuses) or ()}
        for spec in pod["spec"].get(specs) or ():
            yield Container(spec, by_name.get(spec["name"], {}), is_init)


def why_not_running(evidence: Evidence, pod: Manifest, container: Container) -> Cause | None:
    """None if it runs, or has done its work, or has not had its turn yet."""
    reason, message = container.waiting.get("reason", ""), container.waiting.get("message", "")
    match reason:
        case "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull":
            return _image(evidence, pod, container, reason)
        case "CreateContainerConfigError":
            return _configuration(evidence, pod, container, message)
        case "RunContainerError" | "CreateContainerError" | "StartError":
            says = f"{container.title} cannot be started: {message}"
            return Cause(subject(pod), says, "correct its command or securityContext in the template")
    if container.ended and (container.ended.get("exitCode") or reason == "CrashLoopBackOff"):
        return None if container.is_running else _crashed(pod, container)
    return None


def _image(evidence: Evidence, pod: Manifest, container: Container, reason: str) -> Cause:
    image = container.spec.get("image", "")
    if reason == "InvalidImageName":
        return Cause(subject(pod), f"{container.title} names no image: {image!r}", _set_image(pod, container))
    if reason == "ErrImageNeverPull":
        says = f"the image {image} of {container.title} is not here, and imagePullPolicy Never forbids fetching it"
        return Cause(subject(pod), says, "holdfast image load FILE")
    why = evidence.last_message(pod, "Failed").partition(": ")[2] or container.waiting.get("message", "")
    says = f"the image {image} of {container.title} cannot be pulled: {why}"
    if any(word in why.lower() for word in ("unauthorized", "denied", "401", "403")):
        return Cause(
            subject(pod), says, "make a secret with kubectl create secret docker-registry, name it in imagePullSecrets"
        )
    return Cause(subject(pod), says, f"{_set_image(pod, container)}  or holdfast image load FILE")


def _set_image(pod: Manifest, container: Container) -> str:
    for reference in pod["metadata"].get("ownerReferences") or ():
        if reference.get("controller") and reference["kind"] in ("StatefulSet", "DaemonSet"):
            target = f"{reference['kind'].lower()}/{reference['name']}"
            return kubectl(pod, f"set image {target} {container.name}=IMAGE")
    return kubectl(pod, f"set image pod/{name_of(pod)} {container.name}=IMAGE")


def _configuration(evidence: Evidence, pod: Manifest, container: Container, message: str) -> Cause:
    cause = missing_source(evidence, container)
    says = f"{container.title} cannot be configured: {message}"
    return Cause(subject(pod), says, "" if cause else "correct its env in the template", cause)


def missing_source(evidence: Evidence, container: Container) -> Cause | None:
    """The first config map or secret, or key of it, that the environment is to come from and that is not there."""
    for source, optional, resource, name, key in _sources(container.spec):
        found = evidence.get(resource, name)
        kind = resource.kind.lower()
        if optional or not evidence.is_known(resource):
            continue
        if found is None:
            return absent_source(evidence, resource, name, f"{source} of {container.title} is to come from it")
        if key and key not in {**(found.get("data") or {}), **(found.get("binaryData") or {})}:
            says = f"it has no key {key}, which {source} of {container.title} is to come from"
            patch = f'{{"{_text_field(resource)}":{{"{key}":"VALUE"}}}}'
            return Cause(f"{kind}/{name}", says, kubectl(found, f"patch {kind} {name} -p '{patch}'"))
    return None


def _text_field(resource: Resource) -> str:
    return "stringData" if resource is SECRETS else "data"


def absent_source(evidence: Evidence, resource: Resource, name: str, why: str) -> Cause:
    """Of a config map or secret that does not exist."""
    create = "create configmap" if resource is CONFIG_MAPS else "create secret generic"
    where = {"metadata": {"namespace": evidence.namespace}}
    cure = kubectl(where, f"{create} {name} --from-literal=KEY=VALUE")
    return Cause(f"{resource.kind.lower()}/{name}", f"it does not exist; {why}", cure)


def _sources(spec: Manifest) -> Iterator[tuple[str, bool, Resource, str, str]]:
    """(what wants it, is optional, kind, name, key; no key where all of it is meant)."""
    for each in spec.get("env") or ():
        value = each.get("valueFrom") or {}
        for field, resource in (("configMapKeyRef", CONFIG_MAPS), ("secretKeyRef", SECRETS)):
            if reference := value.get(field):
                yield each["name"], bool(reference.get("optional")), resource, reference["name"], reference["key"]
    for each in spec.get("envFrom") or ():
        for field, resource in (("configMapRef", CONFIG_MAPS), ("secretRef", SECRETS)):
            if reference := each.get(field):
                yield "the environment", bool(reference.get("optional")), resource, reference["name"], ""


def _crashed(pod: Manifest, container: Container) -> Cause:
    ended, code = container.ended, container.ended.get("exitCode")
    times = f", {container.status['restartCount']} times so far" if container.status.get("restartCount") else ""
    logs = kubectl(pod, f"logs {name_of(pod)} -c {container.name} --previous")
    if ended.get("reason") == "OOMKilled":
        limit = ((container.spec.get("resources") or {}).get("limits") or {}).get("memory", "its limit")
        says = f"{container.title} was killed for using more memory than {limit}{times}"
        return Cause(subject(pod), says, "raise resources.limits.memory in the template")
    if code in (NOT_EXECUTABLE, NOT_FOUND) or ended.get("reason") in ("StartError", "ContainerCannotRun"):
        command = " ".join([*(container.spec.get("command") or ()), *(container.spec.get("args") or ())])
        says = f"{container.title} cannot run its command ({command or 'that of the image'}): {_last_words(ended)}"
        return Cause(subject(pod), says, "correct its command in the template")
    says = f"{container.title} ends with exit code {code}{times}: {_last_words(ended)}"
    return Cause(subject(pod), says, f"its own words: {logs}")


def _last_words(ended: Manifest) -> str:
    return str(ended.get("message") or ended.get("reason") or "it does not say why").strip().splitlines()[-1]


def why_not_ready(evidence: Evidence, pod: Manifest, container: Container) -> Cause | None:
    """Of a container that runs: what its probes say."""
    if container.is_init or container.status.get("ready"):
        return None
    for event in evidence.events(pod, "Unhealthy"):
        message = str(event.get("message") or "").strip()
        kind = message.partition(" probe")[0]
        if kind in PROBES and container.name in str(
            (event.get("involvedObject") or {}).get("fieldPath") or container.name
        ):
            says = f"{container.title} runs, but {message[0].lower()}{message[1:]}"
            return Cause(
                subject(pod),
                says,
                f"{kubectl(pod, f'logs {name_of(pod)} -c {container.name}')}  or correct its {PROBES[kind]}",
            )
    probe = container.spec.get("startupProbe") or container.spec.get("readinessProbe")
    if probe is None:
        return None
    wait_s = probe.get("initialDelaySeconds") or 0
    return Cause(
        subject(pod), f"{container.title} runs, and its probe has not succeeded yet (it begins after {wait_s} s)"
    )
