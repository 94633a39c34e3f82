"""What the server fills into a claim's spec, in claims and in the claim templates of sets and volumes (A266, S38)."""

from __future__ import annotations

from holdfast.api.resource import Manifest

_OLD_SOURCES = (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))


def default_claim_spec(spec: Manifest) -> None:
    spec.setdefault("volumeMode", "Filesystem")
    spec.setdefault("resources", {})
    for member in ("dataSource", "dataSourceRef"):
        if spec.get(member):
            spec[member] = {"apiGroup": None, **spec[member]}


def settle_data_source(spec: Manifest) -> None:
    """Of a new claim: what is shown in either field is shown in both (V-I).

    In the older field, a source of a kind that volumes were never made from is dropped, as it was before there
    was the newer one.
    """
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source and not reference:
        if (source.get("apiGroup") or "", source.get("kind")) not in _OLD_SOURCES:
            del spec["dataSource"]
            return
        spec["dataSourceRef"] = dict(source)
    elif reference and not source and not reference.get("namespace"):
        spec["dataSource"] = dict(reference)
