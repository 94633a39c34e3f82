"""The runner: one step per key at a time, plans carried out to the letter, own writes seen before the next step."""

import asyncio
import logging
from contextlib import asynccontextmanager
from functools import partial

import pytest

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.event import EVENTS
from holdfast.api.errors import ApiError, Conflict, Forbidden, NotFound
from holdfast.client import Unreachable
from holdfast.client.events import EventRecorder
from holdfast.client.informer import Informers, key_of
from holdfast.controllers.actions import (
    Confirm,
    Create,
    Delete,
    Each,
    Emit,
    Fail,
    Patch,
    Plan,
    Report,
    Update,
    Waves,
)
from holdfast.controllers.runner import Failed, OwnWrites, Performer, Runner, StaleView, Step
from holdfast.world import real_world

SUBJECT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "subject", "namespace": "default", "uid": "u"}}


def config_map(name, **data):
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


def create(name, **options):
    return Create(CONFIG_MAPS, config_map(name), **options)


class Recorder(EventRecorder):
    """Keeps what is recorded."""

    def __init__(self):
        self.recorded = []

    def record(self, subject, type, reason, message, **rest):
        self.recorded.append(f"{subject['metadata']['name']} {type} {reason} {message}")


class Client:
    """Notes calls; refuses those whose name is in `refused`."""

    def __init__(self):
        self.calls = []
        self.refused = {}
        self.more = {}
        """Further metadata of what has that name."""
        self.at_once = 0
        self.most_at_once = []

    async def _call(self, verb, name):
        self.calls.append(f"{verb} {name}")
        self.at_once += 1
        await asyncio.sleep(0)
        self.most_at_once.append(self.at_once)
        self.at_once -= 1
        if name in self.refused:
            raise self.refused[name]
        return {"metadata": {"name": name, "uid": "u", "resourceVersion": "0", **self.more.get(name, {})}}

    async def get(self, resource, name, namespace=""):
        return await self._call("get", name)

    async def create(self, resource, manifest, namespace=""):
        return await self._call("create", manifest["metadata"]["name"])

    async def update(self, resource, manifest, *, subresource=""):
        return await self._call("update", manifest["metadata"]["name"])

    async def patch(self, resource, name, patch, namespace="", **options):
        return await self._call("patch", name)

    async def delete(self, resource, name, namespace="", **options):
        return await self._call("delete", name)


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def performer(client):
    return Performer(client, Recorder(), real_world())


@pytest.fixture
def step():
    informers = Informers(None, real_world())
    return Step("default/subject", SUBJECT, OwnWrites(informers, None))


def report(reason, message="{error}"):
    return Report("Warning", reason, message)


async def perform(performer, step, action):
    """The recorded events, and the failure's text."""
    try:
        await performer.perform(action, step)
    except Failed as failed:
        return performer._events.recorded, str(failed)
    return performer._events.recorded, ""


async def test_success_and_failure_are_reported_about_the_plans_subject(client, performer, step):
    client.refused["bad"] = Forbidden("not allowed")
    done = report("Created", "made it")
    failed = report("Refused", "cannot: {error}")
    assert await perform(performer, step, create("good", on_success=done)) == (["subject Warning Created made it"], "")
    events, text = await perform(performer, step, create("bad", on_success=done, on_failure=failed))
    assert (events[1:], text) == (["subject Warning Refused cannot: not allowed"], "not allowed")


async def test_a_failures_text_goes_on_as_the_action_says(client, performer, step):
    client.refused["bad"] = Forbidden("not allowed")
    _, text = await perform(performer, step, create("bad", error="failed to create it: {error}"))
    assert text == "failed to create it: not allowed"


async def test_quiet_failures_are_failures_without_a_report(client, performer, step):
    client.refused["bad"] = Conflict("changed")
    action = create("bad", quiet=(Conflict,), on_failure=report("Refused"))
    assert await perform(performer, step, action) == ([], "changed")


async def test_ignored_failures_are_none(client, performer, step):
    client.refused["gone"] = NotFound("gone")
    action = Patch(CONFIG_MAPS, "default", "gone", {}, ignore=(NotFound,), on_success=report("Done"))
    assert await perform(performer, step, action) == ([], "")


@pytest.mark.parametrize(
    ("error", "events"),
    [(NotFound("gone"), ["subject Warning Done done"]), (Conflict("another uid"), ["subject Warning Done done"])],
)
async def test_s48_what_is_gone_already_counts_as_deleted(client, performer, step, error, events):
    client.refused["gone"] = error
    action = Delete(CONFIG_MAPS, "default", "gone", "u", on_success=report("Done", "done"))
    assert await perform(performer, step, action) == (events, "")


async def test_a_deletion_bound_to_a_version_minds_a_conflict(client, performer, step):
    client.refused["changed"] = Conflict("changed")
    action = Delete(CONFIG_MAPS, "default", "changed", "u", resource_version="7")
    assert await perform(performer, step, action) == ([], "changed")


async def test_each_tries_everything_and_tells_all_errors(client, performer, step):
    client.refused |= {"a": Forbidden("no a"), "c": Forbidden("no c")}
    group = Each([create("a"), create("b"), create("c"), Fail("never")], on_failure=report("Refused"))
    events, text = await perform(performer, step, group)
    assert client.calls == ["create a", "create b", "create c"]
    assert text == "[no a, no c, never]"
    assert events == [f"subject Warning Refused {text}"]


async def test_s147_one_error_stands_alone_and_the_same_is_told_once(client, performer, step):
    assert await perform(performer, step, Each([Fail("same"), Fail("same")])) == ([], "same")


async def test_w15_a_creations_event_names_what_the_server_named(client, performer, step):
    action = create("made", on_success=Report("Normal", "SuccessfulCreate", "Created pod: {name}"))
    events, _ = await perform(performer, step, action)
    assert events == ["subject Normal SuccessfulCreate Created pod: made"]


async def test_s46_waves_of_1_2_4_8(client, performer, step):
    lists = [[create(f"{number}-a"), create(f"{number}-b")] for number in range(12)]
    assert await perform(performer, step, Waves(lists)) == ([], "")
    assert len(client.calls) == 24
    assert max(client.most_at_once) == 5
    assert client.calls[:6] == ["create 0-a", "create 0-b", "create 1-a", "create 2-a", "create 1-b", "create 2-b"]


async def test_s46_a_wave_with_an_error_is_completed_and_later_ones_are_left_out(client, performer, step):
    client.refused |= {"1-a": Forbidden("no 1"), "2-b": Forbidden("no 2")}
    lists = [[create(f"{number}-a"), create(f"{number}-b")] for number in range(7)]
    assert await perform(performer, step, Waves(lists)) == ([], "[no 1, no 2]")
    assert client.calls == ["create 0-a", "create 0-b", "create 1-a", "create 2-a", "create 2-b"]


async def test_s46_a_wave_is_never_larger_than_500(client, performer, step):
    assert await perform(performer, step, Waves([[create(str(number))] for number in range(2000)])) == ([], "")
    assert max(client.most_at_once) == 500


async def test_s109_confirm_reads_live(client, performer, step):
    check = Confirm(CONFIG_MAPS, "default", "a", "u")
    assert await perform(performer, step, check) == ([], "")
    _, text = await perform(performer, step, Confirm(CONFIG_MAPS, "default", "a", "other"))
    assert text == "original ConfigMap default/a is gone: got uid u"
    client.more["a"] = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert await perform(performer, step, check) == ([], "default/a has just been deleted at 2026-01-01T00:00:00Z")
    client.refused["a"] = NotFound("gone")
    assert await perform(performer, step, check) == ([], "gone")


async def test_s132_a_status_is_tried_five_times(client, performer, step):
    client.refused["a"] = Conflict("changed")
    client.get = lambda resource, name, namespace="": client._call("get", "as it is")
    status = Update(CONFIG_MAPS, {"metadata": {"name": "a", "uid": "u"}, "status": {}}, insists=True)
    client.more["as it is"] = {"name": "a"}
    assert await perform(performer, step, status) == ([], "changed")
    assert client.calls == [*["update a", "get as it is"] * 4, "update a"]


# Whole steps, on a server


class Scripted:
    """Creates, for each `wish` that exists, what its data says; counts what it saw."""

    name = "test-controller"
    concurrency = 3

    def __init__(self, plan):
        self._plan = plan
        self.observed = []

    def start(self, informers, queue):
        self.maps = informers.of(CONFIG_MAPS)
        self.maps.subscribe(lambda old, new: queue.add(key_of(new or old)))

    def observe(self, key):
        self.observed.append(key)
        return self.maps.get(key) if key.startswith("default/wish") else None

    def plan(self, observed):
        return self._plan(self, observed)


@pytest.fixture
async def server():
    from holdfast.apiserver.server import ApiServer
    from holdfast.store.memory import MemoryStore

    world = real_world()
    store = MemoryStore(world.clock)
    await store.open()
    server = ApiServer(store, world)
    await server.open()
    yield server
    await server.close()
    await store.close()


@asynccontextmanager
async def running(server, controller, client=None):
    world = real_world()
    client = client or server.client("test")
    informers = Informers(client, world)
    runner = Runner(controller, client, informers, world)
    tasks = [asyncio.ensure_future(informers.run()), asyncio.ensure_future(runner.run())]
    try:
        await until(lambda: hasattr(controller, "maps"))
        yield runner
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def test_s1_s161_a_step_never_runs_on_a_view_without_its_own_writes(server):
    """Every step makes one more object; a step on an old view would make the same again."""

    def plan(controller, wish):
        made = [key for key in controller.maps._objects if key.startswith("default/made")]
        return Plan("make one more", (create(f"made-{len(made)}"),) if len(made) < 20 else ())

    client = server.client("test")
    controller = Scripted(plan)
    async with running(server, controller) as runner:
        await client.create(CONFIG_MAPS, config_map("wish"))
        for _ in range(400):
            runner.queue.add("default/wish")
            await asyncio.sleep(0)
        await until(lambda: len(controller.maps) == 21)
        assert runner.queue._failures == {}


async def test_s12_s13_status_and_cleanup_come_last_and_also_after_a_failure(server):
    client = server.client("test")

    def plan(controller, wish):
        return Plan(
            "fails",
            (Fail("no"), create("never")),
            status=Update(CONFIG_MAPS, {**wish, "data": {"status": "written"}}),
            cleanup=(create("cleaned", may_exist=True),),
        )

    async with running(server, Scripted(plan)) as runner:
        await client.create(CONFIG_MAPS, config_map("wish"))
        await until(lambda: runner.queue._failures.get("default/wish"))
        names = {one["metadata"]["name"] for one in (await client.list(CONFIG_MAPS, "default")).items}
        assert {"cleaned", "wish"} <= names
        assert "never" not in names
        assert (await client.get(CONFIG_MAPS, "wish", "default"))["data"] == {"status": "written"}


async def test_if_what_comes_before_fails_nothing_else_is_done(server):
    client = server.client("test")

    def plan(controller, wish):
        cleanup = (create("cleaned"),)
        return Plan(
            "fails", (create("never"),), before=(Fail("no"),), status=Update(CONFIG_MAPS, wish), cleanup=cleanup
        )

    async with running(server, Scripted(plan)) as runner:
        await client.create(CONFIG_MAPS, config_map("wish"))
        await until(lambda: runner.queue._failures.get("default/wish", 0) > 1)
        names = {one["metadata"]["name"] for one in (await client.list(CONFIG_MAPS, "default")).items}
        assert not names & {"cleaned", "never"}


async def test_s13_s157_a_failed_step_is_retried_and_success_forgets(server):
    def plan(controller, wish):
        return Plan("", (Fail("no"),) if len(controller.observed) < 4 else (create("made", may_exist=True),))

    client = server.client("test")
    controller = Scripted(plan)
    async with running(server, controller) as runner:
        await client.create(CONFIG_MAPS, config_map("wish"))
        await until(lambda: controller.maps.get("default/made"))
        await until(lambda: runner.queue._failures == {})


async def test_s156_as_many_keys_are_worked_on_at_once_as_the_controller_says(server):
    at_work, most = set(), []

    class Slow(Scripted):
        async def verify(self, observed, client):
            key = observed["metadata"]["name"]
            at_work.add(key)
            most.append(len(at_work))
            await asyncio.sleep(0.01)
            at_work.discard(key)
            return observed

    client = server.client("test")
    async with running(server, Slow(lambda controller, wish: Plan(""))):
        for number in range(8):
            await client.create(CONFIG_MAPS, config_map(f"wish-{number}"))
        await until(lambda: len(most) >= 8)
    assert max(most) == 3


@pytest.mark.parametrize("error", [StaleView("old"), Unreachable("down"), RuntimeError("a mistake")])
async def test_what_goes_wrong_in_a_step_ends_only_that_step(server, error, caplog):
    def plan(controller, wish):
        if len(controller.observed) < 3:
            raise error
        return Plan("", (create("made", may_exist=True),))

    client = server.client("test")
    controller = Scripted(plan)
    with caplog.at_level(logging.INFO, "holdfast.controllers.runner"):
        async with running(server, controller):
            await client.create(CONFIG_MAPS, config_map("wish"))
            await until(lambda: controller.maps.get("default/made"))
    assert ("Traceback" in caplog.text) == isinstance(error, RuntimeError)


async def test_a_plan_may_ask_to_look_again(server):
    def plan(controller, wish):
        return Plan("", again_after_s=0.01)

    client = server.client("test")
    controller = Scripted(plan)
    async with running(server, controller):
        await client.create(CONFIG_MAPS, config_map("wish"))
        await until(lambda: len(controller.observed) > 3)


async def test_events_are_written_while_the_runner_runs(server):
    def plan(controller, wish):
        return Plan("", (Emit(Report("Normal", "Seen", "saw it")),) if not wish.get("data") else (), subject=wish)

    client = server.client("test")
    async with running(server, Scripted(plan)) as runner:
        await client.create(CONFIG_MAPS, config_map("wish"))
        await until(lambda: len(runner.events._written) == 1)
    (event,) = (await client.list(EVENTS, "default")).items
    assert (event["source"]["component"], event["involvedObject"]["name"]) == ("test-controller", "wish")


async def test_s132_a_status_is_insisted_on_against_a_conflict(server):
    client = server.client("test")
    made = await client.create(CONFIG_MAPS, config_map("wish"))
    await client.patch(CONFIG_MAPS, "wish", {"data": {"by": "other"}}, "default")
    performer = Performer(client, Recorder(), real_world())
    informers = Informers(client, real_world())
    step = Step("", None, OwnWrites(informers, None))
    await performer.perform(Update(CONFIG_MAPS, {**made, "status": {}}, insists=True), step)
    assert (await client.get(CONFIG_MAPS, "wish", "default"))["data"] == {"by": "other"}
    stranger = {**made, "metadata": {**made["metadata"], "uid": "another"}, "status": {}}
    with pytest.raises(Failed):
        await performer.perform(Update(CONFIG_MAPS, stranger, insists=True), step)


async def test_after_its_end_a_runner_leaves_nothing_behind_and_another_takes_over(server):
    client = server.client("test")
    world = real_world()
    informers = Informers(client, world)
    keeping = asyncio.ensure_future(informers.run())

    def plan(controller, wish):
        return Plan("", (create(f"made-{controller.generation}", may_exist=True),))

    for generation in range(2):
        controller = Scripted(plan)
        controller.generation = generation
        task = asyncio.ensure_future(Runner(controller, client, informers, world).run())
        if not generation:
            await client.create(CONFIG_MAPS, config_map("wish"))
        await until(partial(informers.of(CONFIG_MAPS).get, f"default/made-{generation}"))
        task.cancel()
        await asyncio.wait((task,))
        assert informers.of(CONFIG_MAPS)._handlers == []
    keeping.cancel()
    await asyncio.wait((keeping,))


def test_an_api_error_is_not_a_failed_action():
    assert not issubclass(ApiError, Failed)
