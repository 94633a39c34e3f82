"""Matching against a reference that tries everything: each volume is asked by itself whether it may be taken, and the
best is found by comparing each with each.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.api.storage import binding

from .builders import claim, reference, volume

MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany")
SIZES = ("1Gi", "1024Mi", "1G", "2Gi", "2500M", "5Gi")
BYTES = {"G": 10**9, "M": 10**6, "Gi": 2**30, "Mi": 2**20}
NODES = ("n1", "n2")


def size_bytes(text: str) -> Fraction:
    digits = text.rstrip("GMi")
    return Fraction(digits) * BYTES[text.removeprefix(digits)]


def affinity(name: str) -> dict[str, Any]:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [name]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


@st.composite
def volumes(draw: st.DrawFn, number: int) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if draw(st.booleans()):
        more["volumeMode"] = draw(st.sampled_from(["Filesystem", "Block"]))
    if draw(st.booleans()):
        more["nodeAffinity"] = affinity(draw(st.sampled_from(NODES)))
    if draw(st.integers(0, 4)) == 0:
        more["volumeAttributesClassName"] = "quick"
    reserved = [
        None,
        None,
        None,
        reference("data"),
        reference("data", ""),
        reference("data", "old"),
        reference("other"),
    ]
    return volume(
        f"v{number}",
        size=draw(st.sampled_from(SIZES)),
        modes=tuple(draw(st.sets(st.sampled_from(MODES), min_size=1))),
        storage_class=draw(st.sampled_from(["", "", "x"])),
        phase=draw(st.sampled_from(["Available", "Available", "Available", "Pending", "Released", "Failed", "Bound"])),
        labels=draw(st.sampled_from([{}, {"disk": "fast"}])),
        deleting=draw(st.integers(0, 5)) == 0,
        claim_ref=draw(st.sampled_from(reserved)),
        **more,
    )


@st.composite
def claims(draw: st.DrawFn) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if draw(st.integers(0, 3)) == 0:
        more["selector"] = {"matchLabels": {"disk": "fast"}}
    if draw(st.integers(0, 4)) == 0:
        more["volumeMode"] = "Block"
    return claim(
        size=draw(st.sampled_from(SIZES)),
        modes=tuple(draw(st.sets(st.sampled_from(MODES), min_size=1, max_size=2))),
        storage_class=draw(st.sampled_from(["", "", "x", None])),
        **more,
    )


def is_reserved(of: dict[str, Any], wanted: dict[str, Any]) -> bool:
    named = of["spec"].get("claimRef") or {}
    return (
        named.get("name") == wanted["metadata"]["name"]
        and named.get("uid", wanted["metadata"]["uid"]) == (wanted["metadata"]["uid"])
    )


def is_at(of: dict[str, Any], node: str | None) -> bool:
    required = of["spec"].get("nodeAffinity")
    return node is None or required is None or required == affinity(node)


def may_be_had(of: dict[str, Any], wanted: dict[str, Any], node: str | None, is_delayed: bool) -> bool:
    """Whether it is a candidate at all, by itself: V20, V22, V36."""
    one, other = of["spec"], wanted["spec"]
    could_hold = (
        "deletionTimestamp" not in of["metadata"]
        and set(other["accessModes"]) <= set(one["accessModes"])
        and size_bytes(one["capacity"]["storage"]) >= size_bytes(other["resources"]["requests"]["storage"])
        and one.get("volumeMode", "Filesystem") == other.get("volumeMode", "Filesystem")
        and one.get("volumeAttributesClassName") == other.get("volumeAttributesClassName")
    )
    if is_reserved(of, wanted):
        return could_hold
    labels = other.get("selector", {}).get("matchLabels", {})
    return (
        could_hold
        and "claimRef" not in one
        and not (is_delayed and node is None)
        and of["status"]["phase"] == "Available"
        and labels.items() <= of["metadata"]["labels"].items()
        and one.get("storageClassName", "") == (other.get("storageClassName") or "")
        and is_at(of, node)
    )


def beats(one: dict[str, Any], other: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether `one` is taken rather than `other`: fewer modes, then reserved for the claim, then smaller (V21, V23).

    Of several that are reserved for the claim, none beats another: the first is taken.
    """

    def rank(of: dict[str, Any]) -> tuple[Any, ...]:
        modes = of["spec"]["accessModes"]
        size = () if is_reserved(of, wanted) else (1, size_bytes(of["spec"]["capacity"]["storage"]))
        return len(modes), sorted(modes), size

    return rank(one) < rank(other)


@settings(max_examples=500)
@given(
    wanted=claims(),
    given_volumes=st.integers(0, 7).flatmap(lambda count: st.tuples(*map(volumes, range(count)))),
    node=st.sampled_from([None, *NODES]),
    is_delayed=st.booleans(),
)
def test_v20_v21_v22_v23_v131_v132_as_the_reference_chooses(
    wanted: dict[str, Any], given_volumes: tuple[dict[str, Any], ...], node: str | None, is_delayed: bool
) -> None:
    candidates = [of for of in given_volumes if may_be_had(of, wanted, node, is_delayed)]
    best = [of for of in candidates if not any(beats(other, of, wanted) for other in candidates)]
    on = {"metadata": {"name": node, "labels": {"kubernetes.io/hostname": node}}} if node else None
    found = binding.best_match(wanted, given_volumes, node=on, is_delayed=is_delayed)
    if best and is_reserved(best[0], wanted):
        # What is reserved for it but cannot be had here keeps the claim from taking anything else.
        assert found == (best[0] if is_at(best[0], node) else None)
    else:
        assert found in best if best else found is None


@given(
    wanted=claims(),
    given_volumes=st.integers(0, 6).flatmap(lambda count: st.tuples(*map(volumes, range(count)))),
    order=st.randoms(use_true_random=False),
)
def test_v23_the_order_in_which_volumes_are_seen_changes_nothing(
    wanted: dict[str, Any], given_volumes: tuple[dict[str, Any], ...], order: Any
) -> None:
    unreserved = [of for of in given_volumes if not is_reserved(of, wanted)]
    first = binding.best_match(wanted, unreserved)
    order.shuffle(unreserved)
    assert binding.best_match(wanted, unreserved) == first
