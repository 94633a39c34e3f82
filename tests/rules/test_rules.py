"""Every rule has a test that is named for it, and every test names rules that exist."""

import pytest

from . import families
from .tally import NAMES, is_whole, summary

FAMILIES = [pytest.param(family, id=family.name) for family in families.load()]


@pytest.fixture
def names(request):
    """Of all tests there are."""
    if not is_whole(request.config):
        pytest.skip("needs a run of the whole suite")
    return request.config.stash[NAMES]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_rule_has_a_test_of_its_own(family, names):
    tested = family.tested(names)
    assert [rule for rule in family.rules if rule not in tested and rule not in family.pending] == []
    assert [rule for rule in family.pending if rule in tested] == [], "no longer pending"


@pytest.mark.parametrize("family", FAMILIES)
def test_tests_name_rules_that_exist(family, names):
    assert family.tested(names) - family.rules.keys() == set()


def test_rules_stand_at_the_beginning_of_a_name_one_by_one(names):
    letters = {family.values[0].letter for family in FAMILIES}
    wrong = {
        name: rules for name in names if (rules := [rule for rule in families.misplaced(name) if rule[0] in letters])
    }
    assert wrong == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_list_is_in_order_and_says_something_of_each(family):
    numbers = [int(rule.removeprefix(family.letter)) for rule in family.rules]
    assert numbers == sorted(numbers)
    assert all(family.rules.values())
    assert family.pending.keys() <= family.rules.keys()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test_s58_a_gone_claim_wakes_its_set", ["S58"]),
        ("test_s41_s42_w7_in_order", ["S41", "S42", "W7"]),
        ("test_a_set_of_s58", []),
        ("test_sets", []),
        ("test_s_1_of_2", []),
        ("test_base64_is_decoded", []),
    ],
)
def test_what_a_name_says(name, expected):
    assert families.rules_of(name) == expected


@pytest.mark.parametrize("name", ["test_s41_to_s45_all", "test_s41_s45to_s46", "test_about_s46"])
def test_a_range_or_a_mention_is_not_enough(name):
    assert families.misplaced(name)


def test_what_is_printed():
    family = families.Family("Cat", "C", {"C1": "purrs", "C2": "sleeps"}, {})
    assert summary(family, {"test_c1_purrs", "test_d2"}) == "Cat rules with a test of their own: 1 of 2; without: C2"
    assert summary(family, {"test_c1_c2_a_cat"}) == "Cat rules with a test of their own: 2 of 2"
