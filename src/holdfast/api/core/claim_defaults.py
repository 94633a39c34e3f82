"""What the server fills into a claim's spec, in claims and in the claim templates of sets and volumes (A266, S38)."""

from __future__ import annotations

from holdfast.api.resource import Manifest


def default_claim_spec(spec: Manifest) -> None:
    spec.setdefault("volumeMode", "Filesystem")
    spec.setdefault("resources", {})
    _mirror_data_source(spec)


def _mirror_data_source(spec: Manifest) -> None:
    """A source that both fields can express is shown in both (V-I)."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source and not reference:
        spec["dataSource"] = {"apiGroup": None, **source}
        spec["dataSourceRef"] = dict(spec["dataSource"])
    elif reference and not source and not reference.get("namespace"):
        spec["dataSourceRef"] = {"apiGroup": None, **reference}
        spec["dataSource"] = dict(spec["dataSourceRef"])
