"""Logs, exec, attach and port-forward as the agent serves them, and what that asks of the rest of the agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ContainerView:
    """A container of a pod as of now."""

    running_id: str = ""
    """The runtime's id of the run that is running; empty if none is."""
    log_path: str = ""
    """Of the latest run that was started; empty if there was none."""
    log_id: str = ""
    """The runtime's id of that run."""
    previous_log_path: str = ""
    """Of the run before that one, while its log is kept."""
    waiting_reason: str = ""
    """As in the status; only read when there is no log."""
    stdin: bool = False
    tty: bool = False


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod that the agent knows."""

    namespace: str
    name: str
    uid: str
    containers: Mapping[str, ContainerView]
    """By name; init and ephemeral ones too."""


class NotRunning(Exception):
    """There is no run of the container to do anything with."""

    def __init__(self, container: str) -> None:
        super().__init__(f'container not found ("{container}")')


class PodSource(Protocol):
    """What the agent tells about its pods. Called on the event loop; must not block."""

    def find_pod(self, namespace: str, name: str) -> PodView | None: ...

    def is_running(self, container_id: str) -> bool:
        """Whether that run, of any pod, is still going on."""
