"""The forms of answers (A12, A40-A45)."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.api.errors import NotAcceptable
from holdfast.apiserver.negotiation import JSON, YAML, Form, choose, content_type, wants_discovery

MAPS = "/api/v1/namespaces/ns/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", Form()),
        ("*/*", Form()),
        ("application/yaml", Form(YAML)),
        ("application/vnd.kubernetes.protobuf,application/json", Form()),
        (TABLE, Form(JSON, "Table")),
        (f"{TABLE},application/json", Form(JSON, "Table")),
        ("application/json;as=Table;v=v9;g=meta.k8s.io, application/json", Form()),
        ("application/yaml;q=0.5, application/json;q=0.9", Form()),
        ("text/html, */*;q=0.8", Form()),
    ],
)
def test_the_best_form_that_is_accepted(accept: str, expected: Form) -> None:
    assert choose(accept) == expected


@pytest.mark.parametrize(
    ("accept", "message"),
    [
        ("text/html", "406: Not Acceptable\n\nAvailable representations: "),
        ("application/*", "406: Not Acceptable\n\nAvailable representations: "),
        ("application/json;as=Picture;v=v1;g=meta.k8s.io", "only the following media types are accepted: "),
        ("application/vnd.kubernetes.protobuf", "only the following media types are accepted: "),
    ],
)
def test_what_nobody_can_be_given(accept: str, message: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        choose(accept)
    assert caught.value.message == message + "application/json, application/yaml, application/vnd.kubernetes.protobuf"


def test_a_watch_has_no_yaml() -> None:
    with pytest.raises(NotAcceptable, match="stream=watch"):
        choose("application/yaml", is_watch=True)


@pytest.mark.parametrize(
    ("accept", "version"),
    [
        ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json", "v2"),
        ("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json", "v2beta1"),
        ("application/json", ""),
        ("application/json;g=unknown.example;v=v9;as=Nothing,application/json", ""),
        ("", ""),
    ],
)
def test_aggregated_discovery_is_asked_for_by_its_parameters(accept: str, version: str) -> None:
    assert wants_discovery(accept) == version


def test_a_missing_content_type_means_json() -> None:
    """A45."""
    assert content_type("") == "application/json"
    assert content_type("application/json; charset=utf-8") == "application/json"


async def test_a_person_at_a_terminal_gets_indented_json(web: Any) -> None:
    answer = await web.send("GET", MAPS, headers={"user-agent": "curl/8"})
    assert answer.body.startswith(b'{\n  "kind"')
    compact = await web.send("GET", f"{MAPS}?pretty=0", headers={"user-agent": "curl/8"})
    assert compact.body.startswith(b'{"kind"')


async def test_yaml_says_what_json_says(web: Any) -> None:
    import yaml

    await web("POST", MAPS, {"metadata": {"name": "a"}, "data": {"on": "yes"}})
    answer = await web("GET", f"{MAPS}/a", headers={"accept": "application/yaml"})
    assert answer.content_type == "application/yaml"
    assert yaml.safe_load(answer.body) == (await web("GET", f"{MAPS}/a")).body


async def test_a_table_has_a_row_for_each_object(web: Any) -> None:
    await web("POST", MAPS, {"metadata": {"name": "a"}, "data": {"x": "y"}})
    table = await web("GET", MAPS, headers={"accept": TABLE})
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    (row,) = table["rows"]
    assert row["cells"] == ["a", 1, "0s"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert "data" not in row["object"]


@pytest.mark.parametrize(("include", "kind"), [("Object", "ConfigMap"), ("Metadata", "PartialObjectMetadata")])
async def test_rows_include_what_is_asked_for(web: Any, include: str, kind: str) -> None:
    await web("POST", MAPS, {"metadata": {"name": "a"}})
    table = await web("GET", f"{MAPS}?includeObject={include}", headers={"accept": TABLE})
    assert table["rows"][0]["object"]["kind"] == kind


async def test_rows_may_include_nothing_but_not_anything(web: Any) -> None:
    await web("POST", MAPS, {"metadata": {"name": "a"}})
    assert (await web("GET", f"{MAPS}?includeObject=None", headers={"accept": TABLE}))["rows"][0]["object"] is None
    refused = await web("GET", f"{MAPS}?includeObject=Foo", headers={"accept": TABLE})
    assert (refused.code, refused["reason"]) == (400, "BadRequest")


async def test_metadata_alone_carries_kind_and_version(web: Any) -> None:
    await web("POST", MAPS, {"metadata": {"name": "a"}})
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    listed = await web("GET", MAPS, headers={"accept": accept})
    assert [item["kind"] for item in listed["items"]] == ["PartialObjectMetadata"]
    one = await web("GET", f"{MAPS}/a", headers={"accept": accept.replace("List", "")})
    assert set(one.body) == {"kind", "apiVersion", "metadata"}


async def test_an_error_is_a_status_in_whatever_form(web: Any) -> None:
    answer = await web("GET", f"{MAPS}/none", headers={"accept": TABLE})
    assert (answer.code, answer["kind"]) == (404, "Status")


async def test_every_kind_can_be_listed_and_printed(web: Any) -> None:
    """A195, A307: as many cells as columns, the first column a name."""
    from holdfast.api import registry

    for resource in registry.RESOURCES:
        if "list" not in resource.verbs:
            continue
        table = await web("GET", resource.path(), headers={"accept": TABLE})
        assert table.code == 200, resource
        columns = len(table["columnDefinitions"])
        assert all(len(row["cells"]) == columns for row in table["rows"]), resource
