"""A pod as the agent reads it: a frozen view of the manifest, with Kubernetes' own words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from holdfast.api.core.pod_resources import pod_amounts, with_overhead
from holdfast.api.core.restarts import may_restart_all, should_restart
from holdfast.api.resource import Manifest

from .amounts import Amounts, amounts

DEFAULT_GRACE_S = 30
TERMINAL_PHASES = frozenset({"Succeeded", "Failed"})


class Role(StrEnum):
    """What a container is to its pod; the value is the list of the spec it stands in, but for sidecars."""

    APP = "containers"
    INIT = "initContainers"
    SIDECAR = "sidecar"
    """An init container with restartPolicy Always (N97)."""
    EPHEMERAL = "ephemeralContainers"


@dataclass(frozen=True, eq=False)
class Container:
    """One container of the spec."""

    manifest: Manifest
    role: Role

    @cached_property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def image(self) -> str:
        return str(self.manifest.get("image", ""))

    @property
    def resources(self) -> Manifest:
        """Requests and limits."""
        return self.manifest.get("resources") or {}

    @property
    def field_path(self) -> str:
        """How events name it (N212)."""
        field = Role.INIT if self.role is Role.SIDECAR else self.role
        return f"spec.{field}{{{self.name}}}"

    @property
    def is_probed(self) -> bool:
        """Ordinary init and ephemeral containers have neither probes nor hooks (N95, N205)."""
        return self.role in (Role.APP, Role.SIDECAR)

    def probe(self, kind: str) -> Manifest | None:
        """The `startup`, `liveness` or `readiness` probe, if it has one."""
        return self.manifest.get(f"{kind}Probe") if self.is_probed else None

    def hook(self, name: str) -> Manifest | None:
        """The `postStart` or `preStop` handler, if it has one."""
        return (self.manifest.get("lifecycle") or {}).get(name) if self.is_probed else None

    def port(self, name_or_number: Any) -> int | None:
        """The number of a port given by number or by name; None if no port has that name."""
        if isinstance(name_or_number, int):
            return name_or_number
        text = str(name_or_number)
        for port in self.manifest.get("ports") or ():
            if port.get("name") == text:
                return int(port["containerPort"])
        return int(text) if text.isdigit() else None


@dataclass(frozen=True, eq=False)
class Pod:
    """One state of a pod, as read from the API."""

    manifest: Manifest

    @cached_property
    def uid(self) -> str:
        return str(self.manifest["metadata"]["uid"])

    @cached_property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @cached_property
    def namespace(self) -> str:
        return str(self.manifest["metadata"]["namespace"])

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def full_name(self) -> str:
        """As messages name it: `web-0_default(uid)`."""
        return f"{self.name}_{self.namespace}({self.uid})"

    @property
    def spec(self) -> Manifest:
        return self.manifest["spec"]  # type: ignore[no-any-return]

    @property
    def status(self) -> Manifest:
        return self.manifest.get("status") or {}

    @property
    def annotations(self) -> dict[str, str]:
        return self.manifest["metadata"].get("annotations") or {}

    @property
    def labels(self) -> dict[str, str]:
        return self.manifest["metadata"].get("labels") or {}

    @property
    def generation(self) -> int:
        return int(self.manifest["metadata"].get("generation") or 0)

    @property
    def resource_version(self) -> int:
        text = str(self.manifest["metadata"].get("resourceVersion") or "0")
        return int(text) if text.isdigit() else 0

    @property
    def is_terminating(self) -> bool:
        return bool(self.manifest["metadata"].get("deletionTimestamp"))

    @property
    def phase(self) -> str:
        return str(self.status.get("phase") or "Pending")

    @property
    def is_host_network(self) -> bool:
        return bool(self.spec.get("hostNetwork"))

    @property
    def restart_policy(self) -> str:
        return str(self.spec.get("restartPolicy") or "Always")

    @property
    def grace_period_s(self) -> int:
        """What the pod's end may take, at least a second (N132, N243).

        A deletion with grace 0 removes the object, but the processes get the pod's own time (N136).
        """
        grace = self.manifest["metadata"].get("deletionGracePeriodSeconds")
        if not grace:
            grace = self.spec.get("terminationGracePeriodSeconds")
        if grace is None:
            grace = DEFAULT_GRACE_S
        return max(int(grace), 1)

    @cached_property
    def requests(self) -> Amounts:
        """What the pod takes of a node, its overhead included."""
        return amounts(with_overhead(self.spec, "requests", pod_amounts(self.spec, "requests")))

    @cached_property
    def init_containers(self) -> tuple[Container, ...]:
        """Ordinary ones and sidecars, in the order they start."""
        return tuple(
            Container(manifest, Role.SIDECAR if manifest.get("restartPolicy") == "Always" else Role.INIT)
            for manifest in self.spec.get("initContainers") or ()
        )

    @cached_property
    def sidecars(self) -> tuple[Container, ...]:
        return tuple(container for container in self.init_containers if container.role is Role.SIDECAR)

    @cached_property
    def app_containers(self) -> tuple[Container, ...]:
        return tuple(Container(manifest, Role.APP) for manifest in self.spec.get("containers") or ())

    @cached_property
    def ephemeral_containers(self) -> tuple[Container, ...]:
        return tuple(Container(manifest, Role.EPHEMERAL) for manifest in self.spec.get("ephemeralContainers") or ())

    @cached_property
    def may_restart_all(self) -> bool:
        return may_restart_all(self.spec)

    @property
    def restartable(self) -> tuple[Container, ...]:
        """All but the ephemeral ones."""
        return (*self.init_containers, *self.app_containers)

    def containers(self) -> Iterator[Container]:
        """All of them: init containers and sidecars, app containers, ephemeral ones."""
        yield from self.init_containers
        yield from self.app_containers
        yield from self.ephemeral_containers

    def container(self, name: str) -> Container | None:
        return next((container for container in self.containers() if container.name == name), None)

    def may_restart(self, container: Container, exit_code: int) -> bool:
        """Whether a run that ended so is followed by another (N85, N96, N97)."""
        match container.role:
            case Role.EPHEMERAL:
                return False
            case Role.INIT if exit_code == 0:
                return False
            case _:
                return should_restart(container.manifest, self.spec, exit_code)
