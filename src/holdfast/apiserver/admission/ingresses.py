"""DefaultIngressClass (A239)."""

from __future__ import annotations

from holdfast.api.networking.ingress_class import INGRESS_CLASSES
from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import Cache
from holdfast.apiserver.call import Call

IS_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
OLD_NAME = "kubernetes.io/ingress.class"


def default_class(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """The newest of the default classes, for a new ingress that names none in either way."""
    spec = new.setdefault("spec", {})
    named = spec.get("ingressClassName") is not None or OLD_NAME in (new["metadata"].get("annotations") or {})
    if old is not None or named:
        return
    classes = [stored.manifest["metadata"] for stored in cache.of(INGRESS_CLASSES).select()]
    defaults = [one for one in classes if (one.get("annotations") or {}).get(IS_DEFAULT) == "true"]
    if defaults:
        newest = max(str(one["creationTimestamp"]) for one in defaults)
        spec["ingressClassName"] = min(one["name"] for one in defaults if one["creationTimestamp"] == newest)
