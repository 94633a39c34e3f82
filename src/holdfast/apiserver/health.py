"""`/version`, and `/livez`, `/readyz`, `/healthz` with their checks (A26, A27)."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

import holdfast

KUBERNETES = "v1.36.2"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}

Check = Callable[[], bool]
NAMES = ("healthz", "livez", "readyz")


def version() -> dict[str, Any]:
    """The Kubernetes version whose behaviour this is."""
    machine = platform.machine()
    return {
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": f"{KUBERNETES}+holdfast",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": f"holdfast/{holdfast.__version__}",
        "platform": f"linux/{MACHINES.get(machine, machine)}",
    }


def paths(checks: Collection[str]) -> list[str]:
    """Of what `report` answers."""
    return [path for name in NAMES for path in (f"/{name}", *(f"/{name}/{check}" for check in checks))]


def report(
    endpoint: str, checks: Mapping[str, Check], *, only: str = "", excluded: Collection[str] = (), verbose: bool = False
) -> tuple[int, str] | None:
    """Status and text of a health endpoint; None if `only` names no check."""
    if only:
        return _report_one(checks[only]) if only in checks else None
    lines, is_well = [], True
    for name, check in checks.items():
        is_excluded = name in excluded
        passes = is_excluded or check()
        is_well = is_well and passes
        lines.append(f"[+]{name}{' excluded:' * is_excluded} ok" if passes else f"[-]{name} failed: reason withheld")
    if unknown := sorted({*excluded} - {*checks}):
        names = ",".join(msgspec.json.encode(name).decode() for name in unknown)
        lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
    if is_well and not verbose:
        return 200, "ok"
    lines.append(f"{endpoint} check {'passed' if is_well else 'failed'}\n")
    return (200 if is_well else 500), "\n".join(lines)


def _report_one(check: Check) -> tuple[int, str]:
    return (200, "ok") if check() else (500, "internal server error: reason withheld\n")
