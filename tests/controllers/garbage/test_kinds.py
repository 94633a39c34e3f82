"""Which kinds the garbage collector knows."""

from __future__ import annotations

from collections import Counter

from holdfast.api.storage.csi_storage_capacity import CSI_STORAGE_CAPACITIES
from holdfast.controllers.garbage.controller import collectable


def test_every_kind_takes_part_once() -> None:
    kinds = collectable()
    assert CSI_STORAGE_CAPACITIES in kinds
    assert max(Counter((resource.group, resource.kind) for resource in kinds).values()) == 1


def test_w88_what_is_not_stored_or_belongs_to_nobody_does_not() -> None:
    assert not {"ComponentStatus", "Event", "SelfSubjectReview"} & {resource.kind for resource in collectable()}
