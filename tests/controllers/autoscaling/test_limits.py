"""How fast an autoscaler follows its metrics (W82)."""

from __future__ import annotations

import pytest

from holdfast.api.autoscaling.scaling_behavior import default_behavior
from holdfast.controllers.autoscaling.limits import Bounds, History, limited, tolerance

from .made import NOW, ago


def behavior(up=None, down=None):
    made = {"scaleUp": up or {}, "scaleDown": down or {}}
    default_behavior(made)
    return made


def policies(*given, **more):
    return {
        "policies": [{"type": kind, "value": value, "periodSeconds": period} for kind, value, period in given],
        **more,
    }


def recommended(*moments):
    return History(recommendations=tuple((ago(seconds), replicas) for seconds, replicas in moments))


def changed(*moments):
    return History(changes=tuple((ago(seconds), by) for seconds, by in moments))


def outcome(desired, current, rules=None, history=None, least=1, most=100):
    found = limited(desired, Bounds(current, least, most), rules, history or History(), NOW)
    return found.replicas, found.able[0], found.is_limited, found.limit[0]


@pytest.mark.parametrize(
    ("desired", "current", "bounds", "outcome_"),
    [
        (3, 2, (1, 10), (3, "ReadyForNewScale", False, "DesiredWithinRange")),
        (9, 2, (1, 10), (4, "ReadyForNewScale", True, "ScaleUpLimit")),
        (9, 1, (1, 10), (4, "ReadyForNewScale", True, "ScaleUpLimit")),
        (30, 10, (1, 15), (15, "ReadyForNewScale", True, "TooManyReplicas")),
        (1, 5, (2, 10), (2, "ReadyForNewScale", True, "TooFewReplicas")),
    ],
)
def test_w82_without_behavior_it_doubles_at_most_or_goes_to_four(desired, current, bounds, outcome_):
    assert outcome(desired, current, least=bounds[0], most=bounds[1]) == outcome_


def test_w82_downwards_the_highest_recommendation_of_five_minutes_counts():
    history = recommended((310, 9), (290, 5), (10, 3))
    assert outcome(2, 6, history=history) == (5, "ScaleDownStabilized", False, "DesiredWithinRange")
    assert outcome(2, 6, behavior(), history) == (5, "ScaleDownStabilized", False, "DesiredWithinRange")
    at_once = behavior(down={"stabilizationWindowSeconds": 0})
    assert outcome(2, 6, at_once, history) == (2, "ReadyForNewScale", False, "DesiredWithinRange")


def test_w82_upwards_the_lowest_recommendation_of_a_window_counts():
    patient = behavior(up={"stabilizationWindowSeconds": 60})
    assert outcome(6, 3, patient, recommended((90, 2), (50, 5))) == (
        5,
        "ScaleUpStabilized",
        False,
        "DesiredWithinRange",
    )
    assert outcome(6, 3, patient, recommended((50, 2)))[0] == 3, "never the other way"


@pytest.mark.parametrize(
    ("rules", "reached"),
    [
        (behavior(), 20),
        (behavior(policies(("Pods", 2, 60))), 12),
        (behavior(policies(("Pods", 2, 60), ("Percent", 50, 60))), 15),
        (behavior(policies(("Pods", 2, 60), ("Percent", 50, 60), selectPolicy="Min")), 12),
        (behavior(policies(("Percent", 15, 60))), 12),
        (behavior(policies(("Pods", 2, 60), selectPolicy="Disabled")), 10),
    ],
    ids=["four pods or double", "pods", "the larger", "the smaller", "rounded up", "disabled"],
)
def test_w82_policies_upwards(rules, reached):
    assert outcome(50, 10, rules) == (reached, "ReadyForNewScale", True, "ScaleUpLimit")


@pytest.mark.parametrize(
    ("rules", "reached"),
    [
        (behavior(down=policies(("Pods", 2, 60))), 8),
        (behavior(down=policies(("Pods", 2, 60), ("Percent", 50, 60))), 5),
        (behavior(down=policies(("Pods", 2, 60), ("Percent", 50, 60), selectPolicy="Min")), 8),
        (behavior(down=policies(("Percent", 15, 60))), 8),
        (behavior(down=policies(("Pods", 2, 60), selectPolicy="Disabled")), 10),
    ],
    ids=["pods", "the larger", "the smaller", "cut off", "disabled"],
)
def test_w82_policies_downwards(rules, reached):
    assert outcome(1, 10, rules) == (reached, "ReadyForNewScale", True, "ScaleDownLimit")


def test_w82_what_was_changed_within_the_period_counts():
    slow = behavior(policies(("Pods", 3, 60)), policies(("Pods", 3, 60)))
    assert outcome(50, 10, slow, changed((61, 4), (30, 2)))[0] == 11
    assert outcome(50, 10, slow, changed((30, 5)))[0] == 10, "it waits, and does not go back"
    assert outcome(1, 10, slow, changed((30, -2)))[0] == 9
    assert outcome(50, 10, slow, changed((30, -2)))[0] == 15, "what was taken away may come back"


def test_w82_bounds_hold_with_behavior_too():
    assert outcome(50, 10, behavior(), most=12) == (12, "ReadyForNewScale", True, "TooManyReplicas")
    down = behavior(down=policies(("Percent", 100, 15)))
    assert outcome(1, 10, down, least=3) == (3, "ReadyForNewScale", True, "TooFewReplicas")


def test_what_is_an_hour_old_is_forgotten():
    history = recommended((3601, 9), (3599, 5)).recommended(NOW, 2).changed(ago(3601), 1).changed(NOW, 2)
    assert history == recommended((3599, 5), (0, 2)).changed(NOW, 2)


def test_w82_tolerances_are_a_tenth_but_for_the_direction_that_says_otherwise():
    assert tolerance(None) == tolerance(behavior())
    found = tolerance(behavior({"tolerance": "50m"}))
    assert (found.up, found.down) == (0.05, 0.1)
