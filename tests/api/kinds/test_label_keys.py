"""Keys by which a pod's own labels narrow the selectors of its affinity and spreading (KEP-3633, KEP-3243)."""

from __future__ import annotations

import json

import pytest

from holdfast.api.core.pod import PODS
from holdfast.api.decode import decode_body
from holdfast.api.resource import Manifest

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def new_pod(**spec: object) -> Manifest:
    """As it is stored: filled in and prepared."""
    metadata = {"name": "a", "labels": {"app": "db", "pod-template-hash": "1"}, "creationTimestamp": None}
    body = {"metadata": metadata, "spec": {"containers": [{"name": "main", "image": "a"}], **spec}}
    manifest, _ = decode_body(PODS, json.dumps(body).encode(), "application/json")
    PODS.default(manifest)
    PODS.prepare_create(manifest)
    return manifest


def with_term(**term: object) -> Manifest:
    return new_pod(affinity={"podAntiAffinity": {REQUIRED: [{"topologyKey": "zone", **term}]}})


def with_constraint(**constraint: object) -> Manifest:
    whole = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", **constraint}
    return new_pod(topologySpreadConstraints=[whole])


SELECTOR = {"matchLabels": {"app": "db"}}


def test_the_values_of_the_pods_labels_are_merged_in() -> None:
    pod = with_term(labelSelector=SELECTOR, matchLabelKeys=["pod-template-hash"], mismatchLabelKeys=["other"])
    (term,) = pod["spec"]["affinity"]["podAntiAffinity"][REQUIRED]
    assert term["labelSelector"] == {
        "matchLabels": {"app": "db"},
        "matchExpressions": [{"key": "pod-template-hash", "operator": "In", "values": ["1"]}],
    }
    assert PODS.validate(pod) == []
    pod = with_constraint(labelSelector=SELECTOR, matchLabelKeys=["pod-template-hash"])
    (constraint,) = pod["spec"]["topologySpreadConstraints"]
    assert constraint["labelSelector"]["matchExpressions"][0]["values"] == ["1"]
    assert PODS.validate(pod) == []


def test_keys_that_must_differ_are_excluded() -> None:
    pod = with_term(labelSelector=SELECTOR, mismatchLabelKeys=["pod-template-hash"])
    (term,) = pod["spec"]["affinity"]["podAntiAffinity"][REQUIRED]
    assert term["labelSelector"]["matchExpressions"][0]["operator"] == "NotIn"


@pytest.mark.parametrize(
    ("term", "refusal"),
    [
        ({"matchLabelKeys": ["app"]}, "matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"),
        (
            {"labelSelector": SELECTOR, "matchLabelKeys": ["x"], "mismatchLabelKeys": ["x"]},
            'matchLabelKeys[0]: Invalid value: "x": exists in both matchLabelKeys and mismatchLabelKeys',
        ),
    ],
)
def test_terms_are_refused_with_upstreams_words(term: Manifest, refusal: str) -> None:
    at = f"spec.affinity.podAntiAffinity.{REQUIRED}[0]"
    assert [str(error) for error in PODS.validate(with_term(**term))] == [f"{at}.{refusal}"]


def test_a_key_is_not_in_the_selector_as_well() -> None:
    both = {"labelSelector": SELECTOR, "matchLabelKeys": ["app"]}
    refusal = 'Invalid value: "app": exists in both matchLabelKeys and labelSelector'
    at = f"spec.affinity.podAntiAffinity.{REQUIRED}[0][0]"
    assert [str(error) for error in PODS.validate(with_term(**both))] == [f"{at}: {refusal}"]
    at = "spec.topologySpreadConstraints[0].matchLabelKeys[0]"
    assert [str(error) for error in PODS.validate(with_constraint(**both))] == [f"{at}: {refusal}"]
