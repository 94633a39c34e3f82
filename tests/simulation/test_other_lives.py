"""Sets whose pods come and go all at once, sets that are deleted, long outages of machines, and daemons."""

import pytest

from holdfast.simulation.scenarios import play


@pytest.mark.parametrize("seed", range(50))
def test_a_parallel_set_converges_whatever_fails(seed):
    play("parallel", seed)


@pytest.mark.parametrize("seed", range(50))
def test_a_deleted_set_leaves_nothing_whatever_fails(seed):
    play("farewell", seed)


@pytest.mark.parametrize("seed", range(20))
def test_machines_that_come_back_after_minutes_find_no_second_life_begun(seed):
    play("outage", seed)


@pytest.mark.parametrize("seed", range(30))
def test_every_node_has_one_daemon_in_the_end_whatever_fails(seed):
    play("daemons", seed)
