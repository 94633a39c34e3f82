"""What a CronJob does step by step: one test for each rule."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from holdfast.api.times import format_time
from holdfast.controllers.actions import Create, Delete, Emit
from holdfast.controllers.cronjob.plan import SCHEDULED_AT, Observed, build_job, plan
from holdfast.controllers.cronjob.views import CronJob

NOON = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def time(minutes):
    return NOON + timedelta(minutes=minutes)


class World:
    """A CronJob made at noon, its Jobs, and what was said. Plans are carried out at once."""

    def __init__(self, schedule="*/10 * * * *", **spec):
        template = {
            "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {"template": {"spec": {"restartPolicy": "Never"}}},
        }
        metadata = {"name": "often", "namespace": "default", "uid": "u", "creationTimestamp": format_time(NOON)}
        limits = {"successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}
        whole = {"schedule": schedule, "concurrencyPolicy": "Allow", "suspend": False, **limits, **spec}
        self.cron_job = {"metadata": metadata, "spec": {**whole, "jobTemplate": template}, "status": {}}
        self.jobs = {}
        self.others = []
        self.events = []
        self.now = NOON
        self.is_namespace_terminating = False
        self.zone = UTC

    def step(self, minutes=None, *, dies_before_status=False):
        if minutes is not None:
            self.now = time(minutes)
        jobs = list(self.jobs.values())
        observed = Observed(
            CronJob(self.cron_job), jobs, self.others, self.is_namespace_terminating, self.now, self.zone
        )
        planned = plan(observed)
        for action in planned.actions:
            match action:
                case Emit(report):
                    self.events.append(f"{report.type} {report.reason} {report.message}")
                case Create(_, manifest):
                    name = manifest["metadata"]["name"]
                    assert action.may_exist
                    assert name not in self.jobs
                    metadata = {**manifest["metadata"], "uid": f"uid-{name}", "resourceVersion": "7"}
                    status = {"startTime": format_time(self.now)}
                    self.jobs[name] = {**manifest, "metadata": metadata, "status": status}
                case Delete(_, _, name):
                    assert action.propagation == "Background"
                    del self.jobs[name]
                    self.events.append(
                        f"{action.on_success.type} {action.on_success.reason} {action.on_success.message}"
                    )
        if planned.status is not None and not dies_before_status:
            assert not planned.status.insists
            self.cron_job = planned.status.manifest
        return planned

    def run(self, minutes):
        """The step in which a Job is made, and the one in which it is seen."""
        self.step(minutes)
        return self.step()

    def end(self, name, kind="Complete"):
        at = format_time(self.now)
        conditions = [{"type": kind, "status": "True", "lastTransitionTime": at}]
        status = {**self.jobs[name]["status"], "conditions": conditions}
        self.jobs[name] = {**self.jobs[name], "status": status | ({"completionTime": at} if kind == "Complete" else {})}

    def active(self):
        return [each["name"] for each in self.cron_job["status"].get("active", ())]


def name(minutes):
    return f"often-{int(time(minutes).timestamp()) // 60}"


def test_w66_a_job_is_made_for_each_time_and_the_status_tells():
    world = World()
    assert not world.step(9).actions
    planned = world.step(10)
    assert list(world.jobs) == [name(10)]
    assert planned.actions[-1].on_success.message == "Created job {name}"
    world.step()
    assert world.cron_job["status"] == {
        "lastScheduleTime": format_time(time(10)),
        "active": [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": name(10),
                "namespace": "default",
                "resourceVersion": "7",
                "uid": f"uid-{name(10)}",
            }
        ],
    }
    assert not world.events
    assert world.step(10.5).status is None
    world.run(20)
    assert world.active() == [name(10), name(20)]


def test_w66_the_job_is_what_the_template_says_with_its_time_and_its_owner():
    world = World(timeZone="Asia/Tokyo")
    world.step(10)
    (job,) = world.jobs.values()
    metadata = job["metadata"]
    assert metadata["labels"] == {"a": "b"}
    assert metadata["annotations"] == {"c": "d", SCHEDULED_AT: "2026-01-01T21:10:00+09:00"}
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("CronJob", "often", True)
    assert job["spec"] == world.cron_job["spec"]["jobTemplate"]["spec"]
    utc = build_job(CronJob(world.cron_job), time(10), UTC)
    assert utc["metadata"]["annotations"][SCHEDULED_AT] == "2026-01-01T12:10:00Z"


def test_w65_a_schedule_without_a_zone_follows_the_machines_and_its_job_tells_utc():
    world = World("0 22 * * *")
    world.zone = ZoneInfo("Asia/Tokyo")  # where it is 21:00 at noon in UTC
    world.step(59)
    assert not world.jobs
    world.step(60)
    (job,) = world.jobs.values()
    assert job["metadata"]["annotations"][SCHEDULED_AT] == "2026-01-01T13:00:00Z"
    named = World("0 22 * * *", timeZone="Etc/UTC")
    named.zone = ZoneInfo("Asia/Tokyo")
    named.step(60)
    assert not named.jobs


def test_nothing_wakes_it_before_the_next_time():
    world = World()
    assert world.step(4).again_after_s == 360.1
    world.step(10)
    assert world.step(12).again_after_s == 480.1


def test_w66_after_a_long_time_only_the_latest_missed_time_runs():
    world = World()
    world.run(65)
    assert list(world.jobs) == [name(60)]
    assert world.cron_job["status"]["lastScheduleTime"] == format_time(time(60))


def test_w66_more_than_100_missed_times_are_told_of():
    world = World("* * * * *")
    world.run(101)
    assert list(world.jobs) == [name(101)]
    message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
    assert world.events == [f"Warning TooManyMissedTimes {message}"]
    assert not World("* * * * *", startingDeadlineSeconds=200).run(101).actions


def test_w66_what_can_no_longer_start_in_time_is_missed():
    world = World(startingDeadlineSeconds=60)
    world.step(11.5)
    assert not world.jobs
    assert world.events == [
        "Warning MissSchedule Missed scheduled time to start a job: Thu, 01 Jan 2026 12:10:00 +0000"
    ]
    world.step(21)
    assert list(world.jobs) == [name(20)]


def test_w66_a_controller_that_died_before_it_wrote_status_goes_on_with_the_job_it_made():
    world = World()
    world.step(10, dies_before_status=True)
    world.step(12)
    assert list(world.jobs) == [name(10)]
    assert world.active() == [name(10)]
    assert not world.events


def test_a_job_that_ended_before_it_was_seen_is_noted_once():
    world = World(successfulJobsHistoryLimit=0)
    world.step(10)
    world.end(name(10))
    planned = world.step()
    assert list(world.jobs) == [name(10)], "kept until status knows of its time: else it would be made again"
    assert planned.status is not None
    assert world.cron_job["status"]["lastScheduleTime"] == format_time(time(10))
    world.step()
    assert not world.jobs
    world.step()
    assert not world.jobs
    seen = [event for event in world.events if "SawCompletedJob" in event]
    assert seen == [f"Normal SawCompletedJob Saw completed job: {name(10)}, condition: Complete"]


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_w67_an_end_is_seen_and_a_success_remembered(kind):
    world = World()
    world.run(10)
    world.now = time(13)
    world.end(name(10), kind)
    world.step()
    assert world.active() == []
    assert world.events == [f"Normal SawCompletedJob Saw completed job: {name(10)}, condition: {kind}"]
    success = world.cron_job["status"].get("lastSuccessfulTime")
    assert success == (format_time(time(13)) if kind == "Complete" else None)
    assert world.step().status is None


def test_w67_the_last_success_never_goes_back():
    world = World()
    for minutes in (10, 20):
        world.run(minutes)
    world.end(name(20))
    world.step()
    first = world.cron_job["status"]["lastSuccessfulTime"]
    world.now = time(5)
    world.end(name(10))
    world.step()
    assert world.cron_job["status"]["lastSuccessfulTime"] == first


def test_w67_forbid_waits_for_the_job_before():
    world = World(concurrencyPolicy="Forbid")
    world.run(10)
    world.step(20)
    assert list(world.jobs) == [name(10)]
    message = "Not starting job because prior execution is running and concurrency policy is Forbid"
    assert world.events == [f"Normal JobAlreadyActive {message}"]
    world.now = time(23)
    world.end(name(10))
    world.run(23)
    assert world.active() == [name(20)]


def test_w67_replace_deletes_the_job_before():
    world = World(concurrencyPolicy="Replace")
    world.run(10)
    world.run(20)
    assert list(world.jobs) == [name(20)]
    assert world.active() == [name(20)]
    assert world.events == [f"Normal SuccessfulDelete Deleted job {name(10)}"]


def test_w122_suspended_nothing_starts_and_resumed_at_most_one_job():
    world = World(suspend=True)
    assert world.step(35).again_after_s is None
    assert not world.jobs
    world.cron_job = {**world.cron_job, "spec": {**world.cron_job["spec"], "suspend": False}}
    world.run(38)
    assert list(world.jobs) == [name(30)]


def test_of_jobs_that_ended_the_latest_are_kept():
    world = World()
    for number in range(1, 8):
        world.run(10 * number)
        world.end(name(10 * number), "Failed" if number > 5 else "Complete")
        world.step()
    world.step()
    assert list(world.jobs) == [name(30), name(40), name(50), name(70)]
    assert f"Normal SuccessfulDelete Deleted job {name(10)}" in world.events


def test_w67_jobs_that_vanish_or_turn_up_are_told_of():
    world = World()
    world.run(10)
    stranger = {"metadata": {"name": "manual", "namespace": "default", "uid": "x"}, "status": {}}
    world.jobs = {"manual": stranger}
    world.step()
    assert world.active() == []
    assert sorted(world.events) == [
        f"Normal MissingJob Active job went missing: {name(10)}",
        "Warning UnexpectedJob Saw a job that the controller did not create or forgot: manual",
    ]


def test_w66_two_times_in_one_minute_have_one_job():
    world = World("@every 20s")
    world.run(20 / 60)
    world.end(name(0))
    world.run(40 / 60)
    assert list(world.jobs) == [name(0)]
    assert world.cron_job["status"]["lastScheduleTime"] == format_time(time(40 / 60))
    assert world.step().status is None
    world.run(1)
    assert list(world.jobs) == [name(0), name(1)]


def test_a_name_that_somebody_else_took_is_left_to_him():
    world = World()
    world.others = [name(10)]
    assert world.step(10).again_after_s == 600.1
    assert not world.jobs


@pytest.mark.parametrize(
    ("spec", "event"),
    [
        (
            {"timeZone": "Mars/Crater"},
            'Warning UnknownTimeZone invalid timeZone: "Mars/Crater": unknown time zone Mars',
        ),
        (
            {"schedule": "x"},
            'Warning UnparseableSchedule unparseable schedule: "x" : expected exactly 5 fields, found 1',
        ),
        ({"schedule": "0 0 31 2 *"}, "Warning InvalidSchedule invalid schedule: 0 0 31 2 * : time difference between"),
    ],
)
def test_w67_a_schedule_that_cannot_be_followed_is_told_of_and_not_tried_again(spec, event):
    world = World(**spec)
    assert world.step(10).again_after_s is None
    assert world.events[0].startswith(event)
    assert not world.jobs


def test_nothing_is_made_by_one_that_goes_or_where_all_goes():
    leaving = World()
    leaving.cron_job["metadata"]["deletionTimestamp"] = format_time(NOON)
    assert leaving.step(10).again_after_s is None
    elsewhere = World()
    elsewhere.is_namespace_terminating = True
    elsewhere.step(10)
    assert not leaving.jobs
    assert not elsewhere.jobs
