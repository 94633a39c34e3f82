"""What the door lets through of what a StatefulSet may ask for beyond upstream, and of a gate (docs/beyond.md)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.api import feature_gates
from holdfast.api.apps import stateful_set_beyond as beyond
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.feature_gates import MAX_UNAVAILABLE_STATEFUL_SET, STATEFUL_SET_RECREATE_STRATEGY
from holdfast.api.resource import Manifest

from .test_stateful_set import CLAIM, FORBIDDEN, defaulted, update_errors


def asking(annotations: dict[str, str], **spec: Any) -> Manifest:
    manifest = defaulted(**spec)
    manifest["metadata"]["annotations"] = annotations
    return manifest


def errors(annotations: dict[str, str]) -> list[str]:
    return [str(error) for error in STATEFUL_SETS.validate(asking(annotations))]


def with_size(size: str, annotations: dict[str, str] | None = None, **claim: Any) -> Manifest:
    spec = {**CLAIM["spec"], "resources": {"requests": {"storage": size}}, **claim}
    return asking(annotations or {}, volumeClaimTemplates=[{**CLAIM, "spec": spec}])


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        (beyond.UNSTICK, "yes", "must be 'true' or 'false'"),
        (beyond.PAUSED, "", "must be 'true' or 'false'"),
        (beyond.CONDITIONS, "True", "must be 'true' or 'false'"),
        (beyond.CLAIM_UPDATE_POLICY, "inplace", "must be 'InPlace' or 'OnClaimDelete'"),
        (beyond.PROGRESS_DEADLINE, "0", "must be a number of seconds greater than 0"),
        (beyond.PROGRESS_DEADLINE, "10m", "must be a number of seconds greater than 0"),
        (beyond.PROGRESS_DEADLINE, "²", "must be a number of seconds greater than 0"),
        (beyond.RESERVE_ORDINALS, "1;2", "must be ordinals and ranges of them, such as '1,3-5'"),
        (beyond.RESERVE_ORDINALS, "5-3", "must be ordinals and ranges of them, such as '1,3-5'"),
        (beyond.RESERVE_ORDINALS, "-1", "must be ordinals and ranges of them, such as '1,3-5'"),
        (beyond.RESERVE_ORDINALS, "0-2147483648", "must be ordinals and ranges of them, such as '1,3-5'"),
        (beyond.RESERVE_ORDINALS, "0-2000000000", "must name at most 1000 ordinals"),
    ],
)
def test_a_value_that_cannot_be_understood_is_refused(name: str, value: str, refusal: str) -> None:
    assert errors({name: value}) == [f'metadata.annotations[{name}]: Invalid value: "{value}": {refusal}']


def test_a_value_that_is_stored_already_holds_nothing_up_and_counts_as_absent() -> None:
    old, new = (asking({beyond.PAUSED: "yes", beyond.UNSTICK: "true"}) for _ in range(2))
    assert update_errors(new, old) == []
    assert beyond.read(new) == beyond.Beyond(unsticks=True)


def test_what_is_understood_is_read() -> None:
    asked = {
        beyond.RESERVE_ORDINALS: " 7, 3-5,4 ",
        beyond.PROGRESS_DEADLINE: "600",
        beyond.CLAIM_UPDATE_POLICY: "InPlace",
        beyond.PAUSED: "false",
    }
    assert errors(asked) == []
    assert beyond.read(asking(asked)) == beyond.Beyond(
        reserved=(3, 4, 5, 7), progress_deadline_s=600, has_conditions=True, claim_update_policy="InPlace"
    )


def test_a_misspelt_name_is_warned_of_and_names_of_others_are_not() -> None:
    manifest = asking({"holdfast.dev/pause": "true", "example.com/pause": "true", beyond.PAUSED_REVISIONS: "?"})
    assert STATEFUL_SETS.warnings(manifest) == ["metadata.annotations[holdfast.dev/pause]: unknown, has no effect"]
    assert [*STATEFUL_SETS.validate(manifest)] == []


# The size of claims


def test_s176_unasked_the_size_of_a_claim_template_is_fixed() -> None:
    assert update_errors(with_size("2Gi"), with_size("1Gi")) == [FORBIDDEN]


@pytest.mark.parametrize("policy", ["InPlace", "OnClaimDelete"])
def test_asked_to_the_size_of_a_claim_template_may_grow(policy: str) -> None:
    asked = {beyond.CLAIM_UPDATE_POLICY: policy}
    assert update_errors(with_size("2Gi", asked), with_size("1Gi")) == []
    assert update_errors(with_size("1Gi"), with_size("1024Mi", asked)) == []


def test_a_size_never_shrinks() -> None:
    field = "spec.volumeClaimTemplates[0].spec.resources.requests.storage"
    asked = {beyond.CLAIM_UPDATE_POLICY: "InPlace"}
    assert update_errors(with_size("1Gi", asked), with_size("2Gi", asked)) == [
        f"{field}: Forbidden: field can not be less than previous value"
    ]


@pytest.mark.parametrize("claim", [{"storageClassName": "fast"}, {"accessModes": ["ReadWriteMany"]}])
def test_s176_nothing_else_of_a_claim_template_may_change(claim: Manifest) -> None:
    asked = {beyond.CLAIM_UPDATE_POLICY: "InPlace"}
    assert update_errors(with_size("2Gi", asked, **claim), with_size("1Gi", asked)) == [FORBIDDEN]


def test_s176_no_claim_template_may_come_or_go() -> None:
    asked = {beyond.CLAIM_UPDATE_POLICY: "InPlace"}
    assert update_errors(asking(asked), with_size("1Gi", asked)) == [FORBIDDEN]
    assert update_errors(with_size("1Gi", asked), asking(asked)) == [FORBIDDEN]


# The gate MaxUnavailableStatefulSet


def rolling(value: int | str) -> Manifest:
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": value}}


def kept(manifest: Manifest) -> Any:
    return manifest["spec"]["updateStrategy"].get("rollingUpdate", {}).get("maxUnavailable")


def test_s104_without_the_gate_the_field_is_dropped_unless_it_is_stored() -> None:
    new, old = defaulted(updateStrategy=rolling(2)), defaulted()
    STATEFUL_SETS.prepare_create(new)
    assert kept(new) is None
    new = defaulted(updateStrategy=rolling(2))
    STATEFUL_SETS.prepare_update(new, old)
    assert kept(new) is None
    new = defaulted(updateStrategy=rolling(2))
    STATEFUL_SETS.prepare_update(new, defaulted(updateStrategy=rolling(3)))
    assert kept(new) == 2


def test_s103_s162_with_the_gate_the_field_is_kept_and_filled_in() -> None:
    with feature_gates.enabled(MAX_UNAVAILABLE_STATEFUL_SET):
        new = defaulted(updateStrategy=rolling("50%"))
        STATEFUL_SETS.prepare_create(new)
        assert kept(new) == "50%"
        STATEFUL_SETS.prepare_update(new, defaulted(updateStrategy={"type": "RollingUpdate"}))
        assert kept(new) == "50%"
        assert kept(defaulted()) == 1
        assert defaulted(updateStrategy={"type": "RollingUpdate"})["spec"]["updateStrategy"] == {
            "type": "RollingUpdate"
        }
    assert kept(defaulted()) is None


@pytest.mark.parametrize(
    ("value", "refusals"),
    [
        (-1, ["Invalid value: -1: must be greater than or equal to 0"]),
        (0, ["Invalid value: 0: cannot be 0"]),
        ("0%", ['Invalid value: "0%": cannot be 0']),
        ("101%", ['Invalid value: "101%": must not be greater than 100%']),
        (7, []),
        ("100%", []),
    ],
)
def test_s171_the_field_is_validated(value: int | str, refusals: list[str]) -> None:
    with feature_gates.enabled(MAX_UNAVAILABLE_STATEFUL_SET):
        manifest = defaulted(updateStrategy=rolling(value))
        found = [str(error) for error in STATEFUL_SETS.validate(manifest)]
    assert found == [f"spec.updateStrategy.rollingUpdate.maxUnavailable: {refusal}" for refusal in refusals]


# The flag


def test_gates_are_given_as_upstreams_flag_takes_them() -> None:
    assert feature_gates.parse(" MaxUnavailableStatefulSet = T ,") == {MAX_UNAVAILABLE_STATEFUL_SET: True}
    assert feature_gates.parse("MaxUnavailableStatefulSet=true,MaxUnavailableStatefulSet=0") == {
        MAX_UNAVAILABLE_STATEFUL_SET: False
    }


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("MaxUnavailableStatefulSet", "missing bool value for MaxUnavailableStatefulSet"),
        (
            "MaxUnavailableStatefulSet=on",
            'invalid value of MaxUnavailableStatefulSet=on, err: strconv.ParseBool: parsing "on": invalid syntax',
        ),
        (
            "Nothing=true",
            "unrecognized feature gate: Nothing (known: MaxUnavailableStatefulSet, StatefulSetRecreateStrategy)",
        ),
    ],
)
def test_a_gate_that_is_not_understood_is_refused_in_upstreams_words(text: str, refusal: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(refusal)}$"):
        feature_gates.parse(text)


# The gate StatefulSetRecreateStrategy


def strategy_errors(**strategy: Any) -> list[str]:
    return [str(error) for error in STATEFUL_SETS.validate(defaulted(updateStrategy=strategy))]


def test_s170_without_the_gate_there_is_no_recreate() -> None:
    assert strategy_errors(type="Recreate") == [
        'spec.updateStrategy: Invalid value: {"Type":"Recreate","RollingUpdate":null}: '
        "must be 'RollingUpdate' or 'OnDelete'"
    ]


def test_with_the_gate_there_is_recreate_without_further_fields() -> None:
    with feature_gates.enabled(STATEFUL_SET_RECREATE_STRATEGY):
        assert strategy_errors(type="Recreate") == []
        assert strategy_errors(type="Recreate", rollingUpdate={"partition": 1}) == [
            'spec.updateStrategy.rollingUpdate: Invalid value: {"Partition":1,"MaxUnavailable":null}: '
            "only allowed for updateStrategy 'RollingUpdate'"
        ]
        assert strategy_errors(type="Rolling")[0].endswith("must be 'RollingUpdate', 'OnDelete' or 'Recreate'")


def test_a_recreate_that_is_stored_stays_usable_without_the_gate() -> None:
    new, old = (defaulted(updateStrategy={"type": "Recreate"}) for _ in range(2))
    assert update_errors(new, old) == []
    assert len(update_errors(new, defaulted())) == 1


# The documentation

DOCUMENT = (Path(__file__).parents[3] / "docs" / "beyond.md").read_text()


def test_everything_that_may_be_asked_for_is_documented_and_nothing_else_is() -> None:
    named = set(re.findall(r"holdfast\.dev/[a-z-]*[a-z]", DOCUMENT))
    known = {value for value in vars(beyond).values() if isinstance(value, str) and value.startswith(beyond.PREFIX)}
    assert named == known - {beyond.PREFIX}
    assert set(re.findall(r"gate `(\w+)`", DOCUMENT)) == set(feature_gates.KNOWN)


def test_the_examples_are_understood() -> None:
    examples = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)]
    asked = [example["metadata"]["annotations"] for example in examples if "annotations" in example.get("metadata", {})]
    assert len(asked) == 4
    for each in asked:
        assert errors(each) == []
        assert STATEFUL_SETS.warnings(asking(each)) == []
