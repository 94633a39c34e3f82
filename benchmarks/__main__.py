"""`python -m benchmarks [NAME ...]`: runs the benchmarks named, or all, and prints one JSON document."""

from __future__ import annotations

import json
import os
import platform
import sys

from . import api, services, sets, startup, turns

BENCHMARKS = {
    "api": api.measure,
    "startup": startup.measure,
    "sets": sets.measure,
    "services": services.measure,
    "turns": turns.measure,
}


def main(names: list[str]) -> int:
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    machine = {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
    results = {name: BENCHMARKS[name]() for name in names or BENCHMARKS}
    print(json.dumps({"machine": machine, **results}, indent=2))
    return 0


sys.exit(main(sys.argv[1:]))
