"""The local view follows the server, whatever happens between them."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.errors import Expired
from holdfast.client import ObjectList, Unreachable, WatchEvent
from holdfast.client.informer import SLICE, Informer, Informers, _Index, key_of


def config_map(name, data=None, **metadata):
    return {"metadata": {"name": name, "namespace": "default", **metadata}, "data": data or {}}


@pytest.fixture
async def informer(flaky, world):
    return Informer(flaky, CONFIG_MAPS, world)


@asynccontextmanager
async def running(informer):
    task = asyncio.ensure_future(informer.run())
    try:
        await asyncio.wait_for(informer.wait_synced(), 5)
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_the_view_has_what_was_there_and_what_comes(informer, local):
    await local.create(CONFIG_MAPS, config_map("a"))
    async with running(informer):
        assert [one["metadata"]["name"] for one in informer.list("default")] == ["a"]
        made = await local.create(CONFIG_MAPS, config_map("b"))
        await informer.wait_for("default/b", made["metadata"]["resourceVersion"])
        assert informer.get("default/b") == made
        await local.delete(CONFIG_MAPS, "a", "default")
        await until(lambda: informer.get("default/a") is None)
        assert (len(informer), informer.list("elsewhere")) == (1, [])


async def test_handlers_are_told_old_and_new_when_the_view_shows_it(informer, local):
    told = []

    def handler(old, new):
        shown = informer.get("default/a")
        told.append(((old or {}).get("data"), (new or {}).get("data"), shown == new))

    informer.subscribe(handler)
    async with running(informer):
        await local.create(CONFIG_MAPS, config_map("a", {"x": "1"}))
        await local.patch(CONFIG_MAPS, "a", {"data": {"x": "2"}}, "default")
        await local.delete(CONFIG_MAPS, "a", "default")
        await until(lambda: len(told) == 3)
    assert told == [(None, {"x": "1"}, True), ({"x": "1"}, {"x": "2"}, True), ({"x": "2"}, None, True)]


async def test_who_subscribes_late_is_told_of_what_is_there_until_it_ends(informer, local):
    await local.create(CONFIG_MAPS, config_map("a"))
    told = []
    async with running(informer):
        end = informer.subscribe(lambda old, new: told.append((old, new["metadata"]["name"])))
        assert told == [(None, "a")]
        end()
        await local.create(CONFIG_MAPS, config_map("b"))
        await until(lambda: informer.get("default/b"))
    assert len(told) == 1


async def test_a_handler_that_fails_stops_nobody_else(informer, local, caplog):
    told = []
    informer.subscribe(lambda old, new: 1 / 0)
    informer.subscribe(lambda old, new: told.append(new))
    async with running(informer):
        await local.create(CONFIG_MAPS, config_map("a"))
        await until(lambda: told)
    assert "handler failed" in caplog.text


async def test_an_index_follows_every_change(informer, local):
    informer.add_index("letters", lambda one: one["data"].values())
    async with running(informer):
        await local.create(CONFIG_MAPS, config_map("a", {"1": "x", "2": "y"}))
        await local.create(CONFIG_MAPS, config_map("b", {"1": "y"}))
        await until(lambda: len(informer) == 2)
        assert {one["metadata"]["name"] for one in informer.by_index("letters", "y")} == {"a", "b"}
        await local.patch(CONFIG_MAPS, "a", {"data": {"2": None}}, "default")
        await local.delete(CONFIG_MAPS, "b", "default")
        await until(lambda: len(informer) == 1)
        assert informer.by_index("letters", "y") == []
        informer.add_index("late", lambda one: [one["metadata"]["name"]])
        assert len(informer.by_index("late", "a")) == 1


@settings(deadline=None)  # a busy machine says nothing of the index
@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.lists(st.sampled_from("xyz"), max_size=3))))
def test_an_index_is_what_a_recount_makes_of_the_objects(changes):
    objects = {}
    index = _Index(objects, lambda one: one["values"])
    for key, values in changes:
        old, new = objects.pop(key, None), None if values is None else {"key": key, "values": values}
        if new is not None:
            objects[key] = new
        index.replace(key, old, new)
        for value in "xyz":
            found = sorted(one["key"] for one in index.get(value))
            assert found == sorted(key for key, one in objects.items() if value in one["values"])
            assert all(one is objects[one["key"]] for one in index.get(value))


async def test_objects_in_the_view_lack_managed_fields_and_a_write_of_one_keeps_them(informer, local):
    told = []
    informer.subscribe(lambda old, new: told.append(old if new is None else new))
    before = await local.create(CONFIG_MAPS, config_map("listed", {"a": "b"}))
    async with running(informer):
        await local.create(CONFIG_MAPS, config_map("watched"))
        await until(lambda: len(informer) == 2)
        seen = informer.get("default/listed")
        assert before["metadata"].keys() - seen["metadata"].keys() == {"managedFields"}
        written = await local.update(CONFIG_MAPS, {**seen, "data": {"x": "1"}})
        assert written["metadata"]["managedFields"]
        await until(lambda: informer.get("default/listed")["data"] == {"x": "1"})
        assert await local.update(CONFIG_MAPS, informer.get("default/listed")) == written  # to lack them is no change
        await local.delete(CONFIG_MAPS, "listed", "default")
        await until(lambda: len(informer) == 1)
    assert len(told) == 4  # the one that went is told as it was
    assert all("managedFields" not in one["metadata"] for one in told)


async def test_a_list_is_let_go_while_it_is_taken_in(world):
    items = [config_map(f"c{number}", managedFields=[{}]) for number in range(3 * SLICE)]

    class Listing:
        async def list(self, *arguments, **options):
            return ObjectList(items, "7")

        async def watch(self, *arguments, **options):
            await asyncio.Event().wait()
            yield

    informer = Informer(Listing(), CONFIG_MAPS, world)
    async with running(informer):
        assert len(informer) == 3 * SLICE
        assert [key_of(one) for one in informer.list()] == [f"default/c{number}" for number in range(3 * SLICE)]
    assert items == []


async def test_after_a_lost_connection_nothing_is_missed_and_nothing_is_told_twice(informer, local, flaky):
    told = []
    async with running(informer):
        informer.subscribe(lambda old, new: told.append((old is None, new is None)))
        await local.create(CONFIG_MAPS, config_map("a"))
        await until(lambda: told)
        flaky.go_down()
        await local.create(CONFIG_MAPS, config_map("b"))
        await local.delete(CONFIG_MAPS, "a", "default")
        await asyncio.sleep(0.05)
        flaky.come_up()
        await until(lambda: len(told) == 3)
    assert told == [(True, False), (True, False), (False, True)]
    assert flaky.lists == 2, "the second only asks whether the history is still the same"


async def test_where_history_is_gone_the_view_is_listed_anew_and_handlers_told_the_difference(world):
    def one(name, version, uid="u"):
        return {"metadata": {"name": name, "namespace": "d", "resourceVersion": str(version), "uid": uid}}

    class Server:
        lists = iter(
            [
                ObjectList([one("same", 1), one("changes", 2), one("goes", 3), one("replaced", 4, "old")], "4"),
                ObjectList([one("same", 1), one("changes", 5), one("comes", 6), one("replaced", 7, "new")], "9"),
            ]
        )

        async def list(self, *arguments, **options):
            return next(self.lists)

        async def watch(self, *arguments, resource_version="", **options):
            if resource_version == "4":
                raise Expired("too old")
            yield WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "12"}})
            await asyncio.Event().wait()

    told = []
    informer = Informer(Server(), CONFIG_MAPS, world)
    async with running(informer):
        informer.subscribe(
            lambda old, new: told.append(((new or old)["metadata"]["name"], old is not None, new is not None))
        )
        told.clear()
        await until(lambda: informer.revision == 12)
    assert sorted(told) == [
        ("changes", True, True),
        ("comes", False, True),
        ("goes", True, False),
        ("replaced", False, True),
        ("replaced", True, False),
    ]


async def test_a_server_that_came_back_with_another_history_is_listed_anew(world):
    """A109: a watch from a revision of the future would wait for ever."""

    class Server:
        revision = 100
        is_down = False

        async def list(self, *arguments, **options):
            return ObjectList([], str(self.revision))

        async def watch(self, *arguments, resource_version="", **options):
            if int(resource_version) > self.revision:
                await asyncio.Event().wait()
            while not self.is_down:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            self.is_down = False
            raise Unreachable("down")
            yield

    server = Server()
    informer = Informer(server, CONFIG_MAPS, world)
    seen = []
    async with running(informer):
        informer.when_known("150", lambda: seen.append(True))
        server.revision, server.is_down = 3, True
        await until(lambda: informer.revision == 3)
        assert seen == [True], "who waits for a write of the other history waits no longer"


async def test_knows_says_whether_a_write_has_come_back(informer, local):
    async with running(informer):
        made = await local.create(CONFIG_MAPS, config_map("a"))
        version = made["metadata"]["resourceVersion"]
        assert not informer.knows("default/a", version)
        called = []
        informer.when_known(version, lambda: called.append(1))
        assert called == []
        await informer.wait_for("default/a", version)
        assert informer.knows("default/a", version)
        informer.when_known(version, lambda: called.append(2))
        assert called == [1, 2]


async def test_informers_are_shared_by_options_and_start_late_ones(local, world):
    informers = Informers(local, world)
    one = informers.of(CONFIG_MAPS)
    assert informers.of(CONFIG_MAPS) is one
    assert informers.whole(CONFIG_MAPS) is one
    assert informers.of(CONFIG_MAPS, field_selector="metadata.name=a") is not one
    task = asyncio.ensure_future(informers.run())
    await asyncio.wait_for(informers.wait_synced(), 5)
    late = informers.of(CONFIG_MAPS, namespace="kube-system")
    await asyncio.wait_for(late.wait_synced(), 5)
    task.cancel()
    await asyncio.wait((task,))


async def test_subscriptions_made_by_a_part_end_with_it(local, world):
    informers = Informers(local, world)
    told = []
    with informers.collecting() as ends:
        informers.of(CONFIG_MAPS).subscribe(lambda old, new: told.append(new))
    assert len(ends) == 1
    ends[0]()
    task = asyncio.ensure_future(informers.run())
    await informers.wait_synced()
    await local.create(CONFIG_MAPS, config_map("a"))
    await until(lambda: informers.of(CONFIG_MAPS).get("default/a"))
    assert told == []
    task.cancel()
    await asyncio.wait((task,))
