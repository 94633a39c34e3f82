"""Which of the kernel's settings a pod may have its own way (N178, N191). Pure.

Source: Kubernetes, pkg/kubelet/sysctl.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from holdfast.api.core.safe_sysctls import SAFE

if TYPE_CHECKING:
    from .pod import Pod

_SWAPPED = str.maketrans("./", "/.")


def of_pod(pod: Pod) -> dict[str, str]:
    given = (pod.spec.get("securityContext") or {}).get("sysctls") or ()
    return {dotted(sysctl["name"]): sysctl["value"] for sysctl in given}


def dotted(name: str) -> str:
    """Names may be written with slashes as well; what stands first parts them, the other is a part of them."""
    first = next((letter for letter in name if letter in "./"), ".")
    return name.translate(_SWAPPED) if first == "/" else name


def forbidden(pod: Pod, allowed: Sequence[str]) -> str:
    """The first that the pod may not set; `allowed` are names, or how names begin, with `*`."""
    return next((name for name in of_pod(pod) if name not in SAFE and not _is_among(name, allowed)), "")


def read_option(text: str) -> tuple[str, ...]:
    """As the kubelet's flag has them: `kernel.msg*,net.core.somaxconn`. Raises ValueError."""
    names = tuple(dotted(name.strip()) for name in text.split(",") if name.strip())
    for name in names:
        if not name.startswith(("net.", "kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")):
            raise ValueError(f"{name}: a pod has no such setting of its own")
    return names


def _is_among(name: str, allowed: Iterable[str]) -> bool:
    return any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in allowed)
