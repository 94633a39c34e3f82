"""Writes docs/mutations.md: by which test, or by which simulated history, each wrong rule of a list is caught.

`python scripts/mutations.py [TEXT]` puts the wrong rules of `tests/mutations` (those whose description has the text)
one after another into a copy of the controller, and runs its tests: those of the part, other quick ones, slow ones.
What they let through is simulated. Exits with 1 if one survives. With a text nothing is written.

Each wrong rule has a process of its own, forked from this one, which has imported everything but what it changes:
starting anew would take ten times as long as most tests do.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

HOME = Path(__file__).parents[1]
sys.path.insert(0, str(HOME))

from tests.mutations.statefulset import MUTANTS, ROOT, Mutant  # noqa: E402

DOCUMENT = HOME / "docs" / "mutations.md"
TESTS = HOME / "tests" / "controllers" / "statefulset"
SLOW = ("test_controller", "test_convergence", "test_replicas", "test_rest", "test_upstream_bugs", "test_work")
"""Beginnings of the names of tests that need a server, a simulation or many examples."""
SEEDS = {"lifecycle": 20, "parallel": 20}
CHANGED = ("holdfast.controllers.statefulset", "holdfast.cluster", "holdfast.simulation", "tests.controllers")
"""What each process imports for itself: the controller, and what imports it."""
TIMEOUT_S = 900
SURVIVED = "**survived**"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="?", default="", help="only the wrong rules whose description has it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="so many at a time")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if options.text in f"{mutant.file} {mutant.breaks}"]
    _import_all_but_the_changed()
    results = []
    with multiprocessing.get_context("fork").Pool(options.jobs, maxtasksperchild=1) as pool:
        for mutant, caught in zip(chosen, pool.imap(_judge, chosen, chunksize=1), strict=True):
            print(f"{mutant.file} {mutant.breaks}: {caught}", flush=True)
            results.append((mutant, caught))
    if not options.text:
        DOCUMENT.write_text(document(results))
    return int(any(caught == SURVIVED for _, caught in results))


def _import_all_but_the_changed() -> None:
    with _silence():
        pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", str(TESTS)])
    for name in [name for name in sys.modules if name.startswith(CHANGED)]:
        del sys.modules[name]
    del sys.modules["holdfast.controllers"].statefulset


def _judge(mutant: Mutant) -> str:
    """In a process of its own: what catches the wrong rule."""
    signal.signal(signal.SIGALRM, _too_late)
    signal.alarm(TIMEOUT_S)
    with tempfile.TemporaryDirectory(prefix="hf-mutations-") as directory:
        controllers = Path(directory) / "holdfast" / "controllers"
        copy = controllers / "statefulset"
        shutil.copytree(HOME / ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
        text = (copy / mutant.file).read_text()
        assert text.count(mutant.old) == 1, f"{mutant.file}: {mutant.breaks}"
        (copy / mutant.file).write_text(text.replace(mutant.old, mutant.new))
        sys.dont_write_bytecode = True
        sys.modules["holdfast.controllers"].__path__.insert(0, str(controllers))
        with _silence():
            return caught_by(f"test_{mutant.file.removesuffix('.py')}")


def _too_late(*_: object) -> None:
    raise TimeoutError(f"no end within {TIMEOUT_S} s")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


class FirstFailure:
    """A pytest plugin that remembers the first test that failed, or the file that could not be read."""

    name = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid


def caught_by(own: str) -> str:
    """`own` is the name of the part's tests, if it has some."""
    names = sorted(path.stem for path in TESTS.glob("test_*.py"))
    slow = [name for name in names if name.startswith(SLOW) and name != own]
    quick = [name for name in names if name not in slow and name != own]
    for group in ([own] if own in names else [], quick, slow):
        if group and (failed := _failed_test(group)):
            return f"`{failed.rpartition('/')[2]}`"
    from holdfast.simulation.scenarios import play

    for scenario, seeds in SEEDS.items():
        for seed in range(seeds):
            try:
                play(scenario, seed)
            except Exception:
                return f"`python -m holdfast.simulation {scenario} --seed {seed}`"
    return SURVIVED


def _failed_test(names: Sequence[str]) -> str:
    """The first that failed; empty if none did."""
    first = FirstFailure()
    files = [str(TESTS / f"{name}.py") for name in names]
    pytest.main(["-x", "-q", "--tb=no", "-p", "no:cacheprovider", *files], plugins=[first])
    return first.name


def document(results: Sequence[tuple[Mutant, str]]) -> str:
    survivors = sum(caught == SURVIVED for _, caught in results)
    lines = [
        "# Wrong rules, and what catches them",
        "",
        "Written by `make mutations`: each wrong rule of `tests/mutations` was put into the StatefulSet controller,",
        "alone, and its tests were run until the first that failed; what they would let through is simulated.",
        "",
        f"{len(results)} wrong rules, {survivors} not caught.",
        "",
        "| in | the wrong rule | caught by |",
        "|---|---|---|",
    ]
    return "\n".join([*lines, *(f"| {mutant.file} | {mutant.breaks} | {caught} |" for mutant, caught in results), ""])


if __name__ == "__main__":
    sys.exit(main())
