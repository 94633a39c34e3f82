"""A set that is scaled, updated and robbed of pods while everything around it fails (DESIGN 4)."""

import pytest

from holdfast.simulation.scenarios import play


@pytest.mark.parametrize("seed", range(100))
def test_a_set_keeps_its_promises_and_converges_whatever_fails(seed):
    play("lifecycle", seed)
