"""Sets whose pods come and go all at once, and sets that are deleted, while everything around them fails."""

import pytest

from holdfast.simulation.scenarios import play


@pytest.mark.parametrize("seed", range(50))
def test_a_parallel_set_converges_whatever_fails(seed):
    play("parallel", seed)


@pytest.mark.parametrize("seed", range(50))
def test_a_deleted_set_leaves_nothing_whatever_fails(seed):
    play("farewell", seed)
