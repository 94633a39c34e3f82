"""Starting one run of a container: image, configuration, creation, start, postStart (N75-N77, N123)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from holdfast.api import quantity
from holdfast.api.errors import ApiError

from . import container_spec, environment, hosts
from .hooks import HookFailure, run_hook
from .image_pulls import ImageUnavailable
from .pod import Container, Pod, Role
from .probes import Target
from .runtime import (
    BlockDevice,
    ContainerRecord,
    ContainerSpec,
    ContainerState,
    ImageRecord,
    Mount,
    RuntimeFailure,
    SandboxFailure,
)
from .shared import Shared, whole
from .volumes import Mounted, Source, bounded
from .volumes.pod_volumes import MAY_HANG
from .volumes.subpath import SubpathFailure, read_text
from .volumes.subpath import resolve as resolve_subpath

RETRY_S = (10.0, 15.0)
PULL_RETRY_S = 4.0
MOST_FILE_BYTES = 64 << 10


class StartFailure(Exception):
    """The container waits with this reason and message; the start is tried again then."""

    def __init__(self, reason: str, message: str, again_at: datetime) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.again_at = again_at


@dataclass(frozen=True, slots=True)
class Place:
    """Where in its pod a container starts."""

    ips: tuple[str, ...]
    host_ips: tuple[str, ...]
    hostname: str
    volumes: Mapping[str, Mounted]


class Starter:
    """Starts containers of one node's pods."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def start(self, pod: Pod, container: Container, attempt: int, place: Place) -> ContainerRecord:
        """The run, running; its postStart hook is the caller's. Raises StartFailure, events told."""
        place = await self._with_images(pod, container, place)
        image = await self._image(pod, container, container)
        try:
            spec = await self._spec(pod, container, attempt, place, image)
        except environment.ConfigError as error:
            raise self._failed(pod, container, "CreateContainerConfigError", str(error)) from error
        except ApiError as error:
            raise self._failed(pod, container, "CreateContainerConfigError", str(error)) from error
        except OSError as error:
            raise self._failed(pod, container, "CreateContainerError", str(error)) from error
        runtime = self._shared.runtime
        if attempt == 0 and (lacks := runtime.shortcomings(spec)):
            message = f"The {runtime.name} runtime cannot give the container all it asks for: {'; '.join(lacks)}"
            self._shared.tell(pod, "Warning", "Unsupported", message, container)
        try:
            created: ContainerRecord = await whole(runtime.create_container(spec))
        except RuntimeFailure as error:
            raise self._failed(pod, container, error.reason or "CreateContainerError", error.message) from error
        self._shared.tell(pod, "Normal", "Created", "Container created", container)
        try:
            started: ContainerRecord = await whole(runtime.start_container(created.id))
        except SandboxFailure as error:
            message = f"Failed to create pod sandbox: {error.message}"
            self._shared.tell(pod, "Warning", "FailedCreatePodSandBox", message)
            raise StartFailure("ContainerCreating", "", self._later()) from error
        except RuntimeFailure as error:
            raise self._failed(pod, container, error.reason or "RunContainerError", error.message) from error
        self._shared.tell(pod, "Normal", "Started", "Container started", container)
        return started

    async def post_start(self, pod: Pod, container: Container, record: ContainerRecord, place: Place) -> None:
        """Runs the hook, if there is one. Raises StartFailure: the caller ends the run (N123)."""
        handler = container.hook("postStart")
        if handler is None:
            return
        try:
            await run_hook(self._shared.runtime, handler, target(container, record, place.ips))
        except HookFailure as error:
            self._shared.tell(pod, "Warning", "FailedPostStartHook", "PostStartHook failed", container)
            raise StartFailure("PostStartHookError", str(error), self._shared.world.clock.now()) from error

    async def _with_images(self, pod: Pod, container: Container, place: Place) -> Place:
        """The same, with the images that are volumes of the container where it can have them."""
        volumes = dict(place.volumes)
        for name in {entry["name"] for entry in container.manifest.get("volumeMounts") or ()} & volumes.keys():
            mounted = volumes[name]
            if mounted.source.kind != "image":
                continue
            image = await self._image(pod, container, as_container(mounted.source))
            path = mounted.path / image.id.removeprefix("sha256:")[:12]
            try:
                await whole(self._shared.runtime.mount_image(image.id, path))
            except RuntimeFailure as error:
                raise self._failed(pod, container, error.reason, error.message) from error
            volumes[name] = Mounted(mounted.source, path)
        return replace(place, volumes=volumes)

    async def _image(self, pod: Pod, container: Container, wanted: Container) -> ImageRecord:
        """What `wanted` names: the container itself, or a volume of its that is told of as the pod's."""
        shared = self._shared

        def tell(of: Container | None, type: str, reason: str, message: str) -> None:
            shared.tell(pod, type, reason, message, of if wanted is container else None)

        try:
            return await shared.images.ensure(pod, wanted, tell)
        except ImageUnavailable as error:
            shared.tell(pod, "Warning", "Failed", f"Error: {error.reason}", container)
            now = shared.world.clock.now()
            again_at = error.again_at
            if again_at is None:
                again_at = now + timedelta(seconds=PULL_RETRY_S) if error.reason == "ErrImagePull" else self._later()
            raise StartFailure(error.reason, error.message, again_at) from error

    async def _spec(
        self, pod: Pod, container: Container, attempt: int, place: Place, image: ImageRecord
    ) -> ContainerSpec:
        shared = self._shared
        variables = await self._variables(pod, container, place)
        log_path = shared.files.log_path(pod, container.name, attempt)
        return container_spec.container_spec(
            pod,
            container,
            container_spec.Parts(
                attempt=attempt,
                variables={"HOSTNAME": place.hostname, **variables},
                mounts=await self._mounts(pod, container, attempt, place, variables),
                devices=self._devices(container, place),
                image=image,
                log_path=log_path,
                memory_capacity_bytes=quantity.whole(shared.allocatable.get("memory") or "0"),
                seccomp_dir=str((shared.config.state_dir or Path("/")) / "seccomp"),
                target_id=self._target(pod, container),
            ),
        )

    def _target(self, pod: Pod, container: Container) -> str:
        """The run that an ephemeral container is to look into (N205). Raises ConfigError."""
        name = container.manifest.get("targetContainerName") if container.role is Role.EPHEMERAL else ""
        if not name:
            return ""
        for record in self._shared.runtime.containers(pod.uid):
            if record.name == name and record.state is ContainerState.RUNNING:
                return record.id
        raise environment.ConfigError(f"unable to find target container {name}")

    async def _variables(self, pod: Pod, container: Container, place: Place) -> dict[str, str]:
        shared = self._shared
        await shared.services_synced()  # N158
        config_maps, secrets = environment.references(container)
        sources = environment.Sources(
            config_maps=await shared.lookup.config_maps(pod.namespace, config_maps),
            secrets=await shared.lookup.secrets(pod.namespace, secrets),
            files=read_files(place.volumes, environment.file_references(container)),
            services=shared.services(),
            ips=place.ips,
            host_ips=place.host_ips,
            allocatable=shared.allocatable,
        )
        return environment.environment(pod, container, sources)

    async def _mounts(
        self, pod: Pod, container: Container, attempt: int, place: Place, variables: Mapping[str, str]
    ) -> tuple[Mount, ...]:
        mounts = []
        for entry in container.manifest.get("volumeMounts") or ():
            mounted = place.volumes.get(entry["name"])
            if mounted is None:
                raise environment.ConfigError(f'volume "{entry["name"]}" is not mounted')
            path = mounted.path
            if self._may_hang(mounted):
                await bounded.require_answer(path)  # the container runtime would wait for ever
            subpath = entry.get("subPath") or ""
            if expression := entry.get("subPathExpr"):
                subpath = environment.expand_strictly(expression, variables)
            if subpath:
                path = await self._subpath(container, entry["name"], mounted, subpath)
            mounts.append(
                container_spec.mount_of(
                    entry,
                    str(path),
                    is_read_only=mounted.source.is_read_only,
                    has_recursive=self._shared.runtime.has_recursive_read_only,
                )
            )
        taken = {mount.container_path for mount in mounts}
        return (*mounts, *self._own_files(pod, container, attempt, place, taken))

    def _devices(self, container: Container, place: Place) -> tuple[BlockDevice, ...]:
        """Of block volumes. Raises ConfigError, OSError."""
        found = []
        for entry in container.manifest.get("volumeDevices") or ():
            mounted = place.volumes.get(entry["name"])
            if mounted is None:
                raise environment.ConfigError(f'volume "{entry["name"]}" is not mounted')
            if self._shared.config.state_dir is None:
                continue
            status = mounted.path.stat()
            found.append(
                BlockDevice(
                    container_path=entry["devicePath"],
                    major=os.major(status.st_rdev),
                    minor=os.minor(status.st_rdev),
                    mode=stat.S_IMODE(status.st_mode),
                    uid=status.st_uid,
                    gid=status.st_gid,
                    read_only=mounted.source.is_read_only,
                )
            )
        return tuple(found)

    async def _subpath(self, container: Container, volume: str, mounted: Mounted, subpath: str) -> Path:
        if self._shared.config.state_dir is None:
            return mounted.path / subpath
        try:
            if self._may_hang(mounted):
                return await bounded.resolve_subpath(mounted.path, subpath, is_read_only=mounted.source.is_read_only)
            return resolve_subpath(mounted.path, subpath, is_read_only=mounted.source.is_read_only)
        except SubpathFailure as error:
            raise environment.ConfigError(
                f'failed to prepare subPath for volumeMount "{volume}" of container "{container.name}"'
            ) from error

    def _may_hang(self, mounted: Mounted) -> bool:
        return self._shared.config.state_dir is not None and mounted.source.kind in MAY_HANG

    def _own_files(self, pod: Pod, container: Container, attempt: int, place: Place, taken: set[str]) -> list[Mount]:
        """/etc/hosts, resolv.conf, the termination message: written anew for each run (N164, N176)."""
        shared, config = self._shared, self._shared.config
        if config.state_dir is None:
            return []
        texts = {
            "/etc/hosts": (
                "etc-hosts",
                hosts.hosts_file(pod, place.ips, place.hostname, config.cluster_domain, shared.node_hosts),
            ),
            "/etc/resolv.conf": ("resolv.conf", self._resolver(pod)),
        }
        mounts = [
            Mount(shared.files.write(pod, name, text), path)
            for path, (name, text) in texts.items()
            if path not in taken
        ]
        message_path = container.manifest.get("terminationMessagePath") or "/dev/termination-log"
        if container.role is not Role.EPHEMERAL and message_path not in taken:
            mounts.append(Mount(shared.files.termination_file(pod, container.name, attempt), message_path))
        return mounts

    def _resolver(self, pod: Pod) -> str:
        config = self._shared.config
        resolver, problems = hosts.resolver(pod, self._shared.resolver, config.cluster_dns, config.cluster_domain)
        for problem in problems:
            self._shared.tell(pod, "Warning", "DNSConfigForming", problem)
        return str(resolver)

    def _failed(self, pod: Pod, container: Container, reason: str, message: str) -> StartFailure:
        self._shared.tell(pod, "Warning", "Failed", f"Error: {message}", container)
        return StartFailure(reason, message, self._later())

    def _later(self) -> datetime:
        """When a failed sync is tried again (N80)."""
        world = self._shared.world
        return world.clock.now() + timedelta(seconds=world.random.uniform(*RETRY_S))


def read_files(volumes: Mapping[str, Mounted], wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Files of volumes that variables come from; those that are not there are left out."""
    found = {}
    for name, path in wanted:
        text = read_text(volumes[name].path, path, MOST_FILE_BYTES) if name in volumes else None
        if text is not None:
            found[name, path] = text
    return found


def as_container(source: Source) -> Container:
    """A volume's image as if a container ran it, for who brings images."""
    details = source.details
    manifest = {"name": source.name, "image": details.get("reference"), "imagePullPolicy": details.get("pullPolicy")}
    return Container(manifest, Role.APP)


def target(container: Container, record: ContainerRecord, ips: tuple[str, ...]) -> Target:
    """The run, for probes and hooks."""
    return Target(record.id, container, ips[0] if ips else "", environment.literal_variables(container))
