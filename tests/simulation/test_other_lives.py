"""Sets whose pods come and go all at once, sets that are deleted, long outages of machines, daemons and Jobs."""

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


@pytest.mark.parametrize("seed", range(50))
def test_jobs_complete_and_count_each_pod_once_whatever_fails(seed):
    play("jobs", seed)


@pytest.mark.parametrize("seed", range(20))
def test_a_cron_job_starts_one_job_for_every_time_whatever_fails(seed):
    play("cron", seed)
