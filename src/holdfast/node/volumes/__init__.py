"""A pod's volumes: found out (`sources`), made ready on this machine, given to its group (`ownership`).

A volume kind is a `Plugin`; a new one (a file system over the network, a volume with a size) is a new file
and an entry in the `plugins` of `pod_volumes.Volumes`. Data that Kubernetes wants in memory lies under the
agent's run directory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from holdfast.api.resource import Manifest
from holdfast.api.storage import binding
from holdfast.node.pod import Pod


class MountFailure(Exception):
    """A volume cannot be had now; tried again later (V80)."""

    def __init__(
        self,
        volume: str,
        message: str,
        *,
        is_unresolved: bool = False,
        is_unattached: bool = False,
        is_device: bool = False,
    ) -> None:
        super().__init__(message)
        self.volume = volume
        self.message = message
        self.is_unresolved = is_unresolved
        """The claim or its volume stands in the way, nothing was tried on this machine (N78)."""
        self.is_unattached = is_unattached
        """It waits for the volume to be attached to this node (V48)."""
        self.is_device = is_device
        """It is a block volume."""

    @property
    def text(self) -> str:
        """Of the event."""
        if self.is_unattached:
            return (
                f"Unable to attach or mount volumes: unmounted volumes=[{self.volume}], "
                f"unattached volumes=[{self.volume}], failed to process volumes=[]: {self.message}"
            )
        if self.is_unresolved:
            return (
                f"Unable to attach or mount volumes: unmounted volumes=[{self.volume}], unattached volumes=[], "
                f"failed to process volumes=[{self.volume}]: {self.message}"
            )
        step = "MapVolume.SetUpDevice" if self.is_device else "MountVolume.SetUp"
        return f'{step} failed for volume "{self.volume}" : {self.message}'

    @property
    def reason(self) -> str:
        """Of the event."""
        return "FailedMapVolume" if self.is_device else "FailedMount"


@dataclass(frozen=True, slots=True)
class Source:
    """One volume of a pod, its claim resolved."""

    name: str
    """Of the volume in the pod."""
    kind: str
    """The source's field: `emptyDir`, `hostPath`, `local`, `configMap` ..."""
    details: Manifest
    """What stands under that field."""
    is_read_only: bool = False
    """The claim reference or the source says so (V76)."""
    persistent_volume: Manifest | None = None
    """Where the volume comes by way of a claim."""
    claim: Manifest | None = None

    @property
    def is_block(self) -> bool:
        """Whether containers have it as a device."""
        return self.persistent_volume is not None and binding.mode_of(self.persistent_volume) == "Block"

    @property
    def spec_name(self) -> str:
        """As messages name it: the PersistentVolume where there is one."""
        return str(self.persistent_volume["metadata"]["name"]) if self.persistent_volume else self.name


@dataclass(frozen=True, slots=True)
class Mounted:
    """A volume that is ready, and where."""

    source: Source
    path: Path


class Plugin(Protocol):
    """One kind of volume. Every call is idempotent and may be repeated after a crash at any point."""

    has_ownership: bool
    """Whether fsGroup applies (V108)."""
    is_in_memory: bool
    """Whether its directory lies under the run directory, which does not survive a reboot."""

    async def mount(self, pod: Pod, source: Source, directory: Path) -> Path:
        """Makes the volume ready, in `directory` if it needs one, and returns where it is.

        Raises MountFailure, and then leaves nothing half done.
        """

    async def unmount(self, directory: Path) -> None:
        """Takes away what `mount` put on `directory`; the directory and plain files in it are the caller's.

        Raises OSError; the caller tries again.
        """


@runtime_checkable
class BlockPlugin(Protocol):
    """A plugin whose volumes can be devices of containers; `unmount` takes those away, too."""

    async def attach(self, source: Source, directory: Path) -> Path:
        """Makes the volume's device ready and returns where it is: `directory` as a file, or elsewhere.

        Raises MountFailure.
        """


@runtime_checkable
class Sweeping(Protocol):
    """A plugin that has more on the machine than the volumes of pods."""

    async def sweep(self) -> None:
        """Takes away what no volume needs. Raises OSError."""


def mounted_names(pod: Pod) -> set[str]:
    """The volumes that some container uses; others are ignored (N78)."""
    return {
        mount["name"]
        for container in pod.containers()
        for mount in (
            *(container.manifest.get("volumeMounts") or ()),
            *(container.manifest.get("volumeDevices") or ()),
        )
    }


def volumes_of(pod: Pod) -> Iterable[Manifest]:
    """The spec's volumes that are used."""
    names = mounted_names(pod)
    return [volume for volume in pod.spec.get("volumes") or () if volume["name"] in names]
