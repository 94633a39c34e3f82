"""What all tests share: examples that do not change from run to run, and proof that nobody changes what is shared."""

from __future__ import annotations

import os
import sys
from collections import deque

import msgspec
import pytest
from hypothesis import HealthCheck, settings

from .rules.tally import Tally

# Without a deadline: an example is not wrong because the machine was busy with others.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("exploring", deadline=None)
settings.load_profile("exploring" if os.environ.get("HOLDFAST_EXPLORE") else "same")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Tally())


@pytest.fixture(autouse=True)
def _shared_parts_stay_as_they_were(monkeypatch):
    """A part of a manifest that many objects share must not be changed by anyone: it would change all of them."""
    sharing = sys.modules.get("holdfast.apiserver.sharing")
    if sharing is None:
        yield
        return
    kept = []
    shared = sharing._shared

    def watched(written):
        part = shared(written)
        kept.append((written, part))
        return part

    watched.cache_info = shared.cache_info
    monkeypatch.setattr(sharing, "_shared", watched)
    like = sharing.like
    made = deque(maxlen=2048)

    def watched_like(manifest, model):
        alike = like(manifest, model)
        made.append((msgspec.json.encode(alike), alike))
        return alike

    monkeypatch.setattr(sharing, "like", watched_like)
    yield
    for written, manifest in made:
        assert msgspec.json.decode(written) == manifest
    for written, part in {id(part): (written, part) for written, part in kept}.values():
        assert msgspec.json.decode(written) == part
