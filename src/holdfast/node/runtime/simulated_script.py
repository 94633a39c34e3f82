"""What a simulated container does, and who tells: an annotation of its pod, or whoever made the runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from . import ContainerSpec, RuntimeFailure

SCRIPT_PREFIX = "simulated.holdfast.dev/"


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one run of a container does. Times in seconds; those of a run count from its start."""

    pull_s: float = 0.0
    """How long the image takes to arrive, once per machine."""
    has_image: bool = True
    """False: the registry does not know it."""
    start_delay_s: float = 0.0
    create_failure: str = ""
    start_failure: str = ""
    update_failure: str = ""
    exit_after_s: float | None = None
    """The run ends by itself then; None: it never does."""
    exit_code: int = 0
    is_oom_killed: bool = False
    ready_after_s: float = 0.0
    """Readiness and startup probes succeed from then on."""
    unready_between_s: tuple[float, float] | None = None
    """Readiness probes fail in this part of the run."""
    dead_after_s: float | None = None
    """Liveness probes fail from then on."""
    ignores_signal: bool = False
    """Only SIGKILL ends it."""
    stop_s: float = 0.0
    """From the stop signal to the end of the run."""
    stop_code: int = 0
    exec_code: int = 0
    exec_output: str = ""
    exec_s: float = 0.0
    cpu_cores: float = 0.0
    """What it keeps busy, from its start on."""
    memory_bytes: int = 0
    written_bytes: int = 0
    """To its root filesystem."""

    @property
    def end_reason(self) -> str:
        """Of a run that ends by itself."""
        return "OOMKilled" if self.is_oom_killed else reason(self.exit_code)

    def answers(self, probe: str, age_s: float) -> bool:
        """Whether a probe (`startup`, `liveness`, `readiness`) succeeds so long after the start of the run."""
        if probe == "liveness":
            return self.dead_after_s is None or age_s < self.dead_after_s
        if age_s < self.ready_after_s:
            return False
        if probe == "readiness" and self.unready_between_s is not None:
            begin_s, end_s = self.unready_between_s
            return not begin_s <= age_s < end_s
        return True


HEALTHY = Script()
Scripts = Callable[[ContainerSpec], Script] | Mapping[str, Script]
"""By container, or by image."""


def script_of(spec: ContainerSpec, labels: Mapping[str, str], scripts: Scripts | None) -> Script:
    """What the labels of its sandbox say, else `scripts`. Raises RuntimeFailure if the label cannot be read."""
    if text := labels.get(SCRIPT_PREFIX + spec.name) or labels.get(SCRIPT_PREFIX + "pod"):
        try:
            return msgspec.json.decode(text, type=Script)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise RuntimeFailure("CreateContainerConfigError", f"script of {spec.name}: {error}") from error
    if scripts is None:
        return HEALTHY
    if isinstance(scripts, Mapping):
        return scripts.get(spec.image, HEALTHY)
    return scripts(spec)


def reason(exit_code: int) -> str:
    return "Error" if exit_code else "Completed"
