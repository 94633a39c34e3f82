"""A watch outlives the daemon: it goes on from its last version, nothing lost and nothing twice (A107, A285)."""

from __future__ import annotations

import pytest

from .conftest import client, running

# Of a kind that no controller makes any of here; a config map is put into every namespace.
SECRETS = "/api/v1/namespaces/default/secrets"


@pytest.fixture
def mortal():
    yield from running("--nodes", "0")


def test_a_watch_resumed_after_a_kill_loses_and_doubles_nothing(mortal):
    api = client(mortal)
    version, seen, wanted = api.get(SECRETS).version, [], []
    for life in range(3):
        with api.watch(SECRETS, resourceVersion=version) as watch:
            for number in range(5):
                wanted.append(api.create(SECRETS, {"metadata": {"name": f"s{life}-{number}"}}).body)
            seen += [event["object"] for event in (next(watch), next(watch))]
            version = seen[-1]["metadata"]["resourceVersion"]
            mortal.kill("daemon")
        mortal.up("--nodes", "0")
        api = client(mortal)
    wanted.append(api.create(SECRETS, {"metadata": {"name": "last"}}).body)
    with api.watch(SECRETS, resourceVersion=version) as watch:
        seen += [event["object"] for event in watch.until(lambda event: event["object"]["metadata"]["name"] == "last")]
    assert seen == wanted
    listed = api.get(SECRETS)
    versions = [int(made["metadata"]["resourceVersion"]) for made in wanted]
    assert versions == sorted(set(versions))
    assert int(listed.version) >= versions[-1]
    names = {item["metadata"]["name"] for item in listed.body["items"]}
    assert {made["metadata"]["name"] for made in wanted} <= names


DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GEARS = "/apis/example.com/v1/namespaces/default/gears"


def test_kinds_that_are_defined_are_there_from_the_first_answer_after_a_kill(mortal):
    api = client(mortal)
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "gears", "kind": "Gear"}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    api.create(DEFINITIONS, {"metadata": {"name": "gears.example.com"}, "spec": spec})
    with api.watch(DEFINITIONS, resourceVersion="0") as watch:
        watch.until(lambda event: "InitialNamesAccepted" in str(event["object"]["status"].get("conditions")))
    body = {"apiVersion": "example.com/v1", "kind": "Gear", "metadata": {"name": "one"}, "spec": {"n": 0}}
    made = api.create(GEARS, body).body
    changed = api.merge(f"{GEARS}/one", {"spec": {"n": 1}}).body
    mortal.kill("daemon")
    mortal.up("--nodes", "0")
    api = client(mortal)
    assert api.get(f"{GEARS}/one").body == changed
    with api.watch(GEARS, resourceVersion=made["metadata"]["resourceVersion"]) as watch:
        assert next(watch)["object"] == changed
        again = api.merge(f"{GEARS}/one", {"spec": {"n": 2}}).body
        assert next(watch)["object"] == again
