"""Which of an image's platforms this machine runs.

Source: containerd, pkg platforms: the default matcher, and how architectures are spelled.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "riscv64": ("riscv64", ""),
    "s390x": ("s390x", ""),
}
_OLDER_VARIANTS = {"v8": ("v8", ""), "v7": ("v7", "", "v6", "v5"), "v6": ("v6", "v5"), "": ("", "v1")}
"""What runs on a machine of that variant, best first."""


def machine_platform(machine: str = "") -> tuple[str, str]:
    """Architecture and variant, as images spell them, of `machine` (as `uname -m` prints it), else of this one."""
    machine = machine or os.uname().machine
    return _MACHINES.get(machine, (machine, ""))


def rank(platform: Mapping[str, Any] | None, machine: str = "") -> int | None:
    """How well an image for that platform suits the machine, 0 best; None if it does not run on it.

    An image that does not say what it is for is taken as it is.
    """
    if not platform:
        return 0
    architecture, variant = machine_platform(machine)
    if platform.get("os", "linux") != "linux" or platform.get("architecture", architecture) != architecture:
        return None
    suitable = _OLDER_VARIANTS[variant]
    wanted = platform.get("variant") or ""
    return suitable.index(wanted) if wanted in suitable else None


def best(candidates: Iterable[tuple[Mapping[str, Any] | None, T]], machine: str = "") -> T | None:
    """The candidate whose platform suits best, the first of equals; None if none runs here."""
    ranked = [
        (place, candidate) for platform, candidate in candidates if (place := rank(platform, machine)) is not None
    ]
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None
