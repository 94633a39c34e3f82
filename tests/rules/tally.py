"""Counts, in every run of the whole suite, the rules that have a test of their own, and prints the sum."""

from __future__ import annotations

from typing import Any

import pytest

from . import families

NAMES = pytest.StashKey[set[str]]()
"""The names of all tests collected, those included that this run leaves out."""


class Tally:
    """With pytest-xdist the workers collect, and hand what they found to the controller."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Runs before tests are deselected: one that is for another run of `make test` counts."""
        config.stash[NAMES] = {getattr(item, "originalname", None) or item.name for item in items}

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["names of tests"] = sorted(session.config.stash.get(NAMES, set()))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        found = set(getattr(node, "workeroutput", {}).get("names of tests", ()))
        node.config.stash[NAMES] = node.config.stash.get(NAMES, set()) | found

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        names = config.stash.get(NAMES, set())
        if names and is_whole(config):  # workers that were interrupted hand over nothing
            for family in families.load():
                terminalreporter.write_line(summary(family, names))


def is_whole(config: pytest.Config) -> bool:
    """Whether the run collects the whole suite; anything less says nothing about what has no test."""
    return config.args == config.getini("testpaths")


def summary(family: families.Family, names: set[str]) -> str:
    tested = family.tested(names)
    missing = [rule for rule in family.rules if rule not in tested]
    count = f"{len(family.rules) - len(missing)} of {len(family.rules)}"
    listed = f"; without: {', '.join(missing)}" if missing else ""
    return f"{family.name} rules with a test of their own: {count}{listed}"
