"""`python -m benchmarks [NAME ...]`: runs the benchmarks named, or all, and prints one JSON document."""

from __future__ import annotations

import argparse
import json
import os
import platform

from . import api, images, network, pods, sets, startup, statefulset, turns, volumes

BENCHMARKS = {
    "api": api.measure,
    "startup": startup.measure,
    "sets": sets.measure,
    "pods": pods.measure,
    "statefulset": statefulset.measure,
    "network": network.measure,
    "images": images.measure,
    "turns": turns.measure,
    "volumes": volumes.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}")
    names = parser.parse_args().names
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    machine = {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
    results = {name: BENCHMARKS[name]() for name in names or BENCHMARKS}
    print(json.dumps({"machine": machine, **results}, indent=2))


main()
