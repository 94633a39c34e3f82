"""The list of wrong rules fits today's source; whether each is caught, `make mutations` finds out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .statefulset import MUTANTS, ROOT

SOURCE = Path(__file__).parents[2] / ROOT
FILES = (
    "plan", "ordering", "update", "replicas", "status", "claims", "revisions", "ownership", "writes", "identity",
)  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file} {mutant.breaks}")
def test_a_wrong_rule_changes_one_place_of_todays_source_and_can_still_be_read(mutant):
    text = (SOURCE / mutant.file).read_text()
    assert text.count(mutant.old) == 1
    assert mutant.new != mutant.old
    ast.parse(text.replace(mutant.old, mutant.new))


def test_every_part_of_the_decision_is_tried():
    assert {mutant.file for mutant in MUTANTS} == {f"{name}.py" for name in FILES}
    assert len({mutant.breaks for mutant in MUTANTS}) == len(MUTANTS) >= 30


def test_the_results_are_of_these_mutants():
    written = (SOURCE.parents[3] / "docs" / "mutations.md").read_text()
    missing = [mutant.breaks for mutant in MUTANTS if mutant.breaks not in written]
    assert missing == [], "run `make mutations`"
    assert "survived" not in written
