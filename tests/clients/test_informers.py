"""What client-go's caches, elections and pagers do on the wire, and what they rely on (A93-A118)."""

from __future__ import annotations

import concurrent.futures
import threading

import pytest

from .conftest import client

PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


@pytest.fixture
def maps(namespace):
    return f"/api/v1/namespaces/{namespace}/configmaps"


def config_map(name, **data):
    return {"metadata": {"name": name}, "data": data}


def fill(api, maps, *names):
    return [api.create(maps, config_map(name, n="0")) for name in names]


def named(events):
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events]


def is_bookmark(event):
    return event["type"] == "BOOKMARK"


STREAMED = {"sendInitialEvents": True, "allowWatchBookmarks": True, "resourceVersionMatch": "NotOlderThan"}


def own(names):
    """Without the config map that every namespace gets, when somebody comes to it."""
    return [entry for entry in names if entry[1] != "kube-root-ca.crt"]


def test_an_informer_starts_from_a_stream_and_goes_on_with_it(api, maps):
    """(A114)"""
    fill(api, maps, "a", "b")
    with api.watch(maps, **STREAMED) as watch:
        *initial, end = watch.until(is_bookmark)
        assert own(named(initial)) == [("ADDED", "a"), ("ADDED", "b")]
        assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert (end["object"]["kind"], end["object"]["apiVersion"]) == ("ConfigMap", "v1")
        made = api.create(maps, config_map("c")).body
        event = own_event(watch)
        assert named([event]) == [("ADDED", "c")]
        assert event["object"] == made
        assert int(made["metadata"]["resourceVersion"]) > int(end["object"]["metadata"]["resourceVersion"])


def own_event(watch):
    return next(event for event in watch if not is_bookmark(event) and own(named([event])))


def test_a_metadata_informer_lists_and_watches_without_contents(api, maps):
    """(A40)"""
    fill(api, maps, "a")
    listed = api.get(maps, accept=PARTIAL_LIST).body
    assert (listed["kind"], listed["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert all(set(item) <= {"kind", "apiVersion", "metadata"} for item in listed["items"])
    with api.watch(maps, accept=PARTIAL, resourceVersion=listed["metadata"]["resourceVersion"]) as watch:
        api.merge(f"{maps}/a", {"metadata": {"labels": {"x": "y"}}, "data": {"big": "z" * 1000}})
        event = own_event(watch)
    assert event["type"] == "MODIFIED"
    assert event["object"]["kind"] == "PartialObjectMetadata"
    assert event["object"]["metadata"]["labels"] == {"x": "y"}
    assert set(event["object"]) == {"kind", "apiVersion", "metadata"}


def test_a_watch_of_a_deprecated_kind_begins_with_its_warning(api, namespace):
    """(A12)"""
    with api.watch(f"/api/v1/namespaces/{namespace}/endpoints", timeoutSeconds=1) as watch:
        assert "v1 Endpoints is deprecated in v1.33+" in watch.headers["Warning"]


def test_of_two_who_want_the_lease_one_is_refused(api, namespace):
    """Each writes the version it read, as leader election does."""
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"}
    held = api.create(leases, {"metadata": {"name": "l"}, "spec": spec}).body
    assert api.request("POST", leases, {"metadata": {"name": "l"}, "spec": spec}).body["reason"] == "AlreadyExists"
    renewed = {**held, "spec": {**spec, "renewTime": "2026-01-01T00:00:02.000000Z"}}
    taken = {**held, "spec": {**spec, "holderIdentity": "b"}}
    after = api.replace(f"{leases}/l", renewed).body
    assert after["spec"]["renewTime"] == "2026-01-01T00:00:02.000000Z"
    late = api.request("PUT", f"{leases}/l", taken)
    assert (late.code, late.body["reason"]) == (409, "Conflict")
    assert late.body["message"] == (
        'Operation cannot be fulfilled on leases.coordination.k8s.io "l": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


def test_one_leader_at_a_time_among_many_candidates(cluster, api, namespace):
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    api.create(leases, {"metadata": {"name": "l"}, "spec": {"leaseTransitions": 0}})

    def campaign(name):
        """How often this candidate won; it tries five times."""
        own, won = client(cluster), 0
        for _ in range(5):
            lease = own.get(f"{leases}/l").body
            spec = {"holderIdentity": name, "leaseTransitions": lease["spec"]["leaseTransitions"] + 1}
            answer = own.request("PUT", f"{leases}/l", {**lease, "spec": spec})
            assert answer.code in (200, 409)
            won += answer.code == 200
        own.close()
        return won

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        won = sum(pool.map(campaign, "abcd"))
    assert api.get(f"{leases}/l").body["spec"]["leaseTransitions"] == won


def test_twenty_watches_of_one_client_see_the_same(api, maps):
    """(A318)"""
    version = api.get(maps).version
    watches = [api.watch(maps, resourceVersion=version, fieldSelector="metadata.name=a") for _ in range(20)]
    try:
        fill(api, maps, "a", "b")
        api.merge(f"{maps}/a", {"data": {"n": "1"}})
        api.delete(f"{maps}/a")
        seen = [[next(watch) for _ in range(3)] for watch in watches]
    finally:
        for watch in watches:
            watch.__exit__()
    assert named(seen[0]) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert all(events == seen[0] for events in seen)


BIG = 25
"""So many versions of a big object are more than the server keeps for watches."""


def test_a_version_that_is_too_old_is_gone_and_a_new_list_helps(api, maps):
    """(A109, A110)"""
    version = api.create(maps, config_map("big")).version
    for number in range(BIG):
        api.merge(f"{maps}/big", {"data": {"n": str(number), "big": "x" * 900_000}})
    with api.watch(maps, resourceVersion=version) as watch:
        events = list(watch)  # the server ends it
    (status,) = [event["object"] for event in events if event["type"] == "ERROR"]
    assert (len(events), status["code"], status["reason"]) == (1, 410, "Expired")
    assert status["message"].startswith(f"too old resource version: {version} (")
    listed = api.get(maps, fieldSelector="metadata.name=big")
    assert [item["data"]["n"] for item in listed.body["items"]] == [str(BIG - 1)]
    with api.watch(maps, resourceVersion=listed.version) as watch:
        api.delete(f"{maps}/big")
        assert named([own_event(watch)]) == [("DELETED", "big")]


def test_pages_of_a_long_list_show_one_moment_whatever_is_written_meanwhile(cluster, api, namespace):
    """(A98, A310)"""
    secrets = f"/api/v1/namespaces/{namespace}/secrets"  # of which nobody else makes any
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda start: filled(cluster, secrets, range(start, 1200, 4)), range(4)))
    stop = threading.Event()
    writer = threading.Thread(target=disturb, args=(cluster, secrets, stop))
    first = api.get(secrets, limit=100)
    writer.start()
    try:
        pages = [first]
        while token := pages[-1].body["metadata"].get("continue"):
            pages.append(api.get(secrets, **{"limit": 100, "continue": token}))
    finally:
        stop.set()
        writer.join()
    items = [item for page in pages for item in page.body["items"]]
    assert {page.version for page in pages} == {first.version}
    assert pages[0].body["metadata"]["remainingItemCount"] == 1200 - 100
    assert [item["metadata"]["name"] for item in items] == [f"s{number:04}" for number in range(1200)]
    assert {item["data"]["n"] for item in items} == {BEFORE}


BEFORE, AFTER = "MA==", "MQ=="


def secret(name, n):
    return {"metadata": {"name": name}, "data": {"n": n}}


def filled(cluster, secrets, numbers):
    own = client(cluster)
    for number in numbers:
        own.create(secrets, secret(f"s{number:04}", BEFORE))
    own.close()


def disturb(cluster, secrets, stop):
    """Changes those of the first half, removes those of the second, and adds, until told to stop."""
    own, number = client(cluster), 0
    while not stop.is_set() and number < 600:
        own.merge(f"{secrets}/s{(number * 7) % 600:04}", {"data": {"n": AFTER}})
        own.delete(f"{secrets}/s{1199 - number:04}")
        own.create(secrets, secret(f"s{number:04}-new", AFTER))
        number += 1
    own.close()
