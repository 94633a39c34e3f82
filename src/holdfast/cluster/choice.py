"""Which driver runs the containers, and whether as root: decided once, at the start of a daemon, by trying (R172)."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.node.capabilities import Capabilities

from .settings import Settings

Probe = Callable[[], Capabilities]


class CannotRun(Exception):
    """What was asked for cannot be had; the message says what to do."""


def decide(settings: Settings, *, in_use: bool, probe: Probe) -> Settings:
    """The settings with driver and way chosen.

    With `in_use` pods run as the last start has chosen, and that stays unless another driver is asked for by name.

    Raises CannotRun where real containers are insisted on and the machine has none.
    """
    if in_use and settings.chosen and settings.runtime in ("auto", settings.chosen):
        return settings
    if settings.nodes == 0 or settings.runtime not in ("auto", "oci"):
        return settings.changed(chosen="process" if settings.runtime == "auto" else settings.runtime, is_rootless=False)
    found = probe()
    driver = found.runtime if settings.runtime == "auto" else settings.runtime
    if driver == "oci" and found.missing_for_containers:
        reasons = "; ".join(f"{each.name} ({each.detail}): {each.cure}" for each in found.missing_for_containers)
        raise CannotRun(f"real containers cannot run here: {reasons}")
    return settings.changed(chosen=driver, is_rootless=found.is_rootless and driver == "oci")
