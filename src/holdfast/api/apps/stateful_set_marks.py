"""Annotations that commands write on StatefulSets; nobody asks for anything with them."""

from __future__ import annotations

RESTORING = "holdfast.dev/restoring"
"""By `holdfast snapshot restore` for as long as it takes: which one, and the replicas before."""
FORKED_FROM = "holdfast.dev/forked-from"
"""By `holdfast fork`: the set whose data it began with."""

MARKS = frozenset({RESTORING, FORKED_FROM})
