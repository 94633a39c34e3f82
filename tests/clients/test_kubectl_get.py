"""kubectl get: every form of output, selection, order and watch."""

from __future__ import annotations

import json

import pytest
import yaml

from .kubectls import opened

pytestmark = pytest.mark.kubectl


@pytest.fixture
def boxes(api, namespace):
    """Three config maps, their names and their sizes in opposite order."""
    for name, size in (("a", "3"), ("b", "2"), ("c", "1")):
        labels = {"box": name, "odd": str(int(size) % 2)}
        body = {"metadata": {"name": name, "labels": labels}, "data": {"size": size}}
        api.create(f"/api/v1/namespaces/{namespace}/configmaps", body)
    return "cm", "-l", "box"


def test_forms_of_output(kubectl, boxes):
    assert kubectl("get", *boxes, "-o", "name").split() == ["configmap/a", "configmap/b", "configmap/c"]
    sizes = "jsonpath={range .items[*]}{.metadata.name}={.data.size} {end}"
    assert kubectl("get", *boxes, "-o", sizes) == "a=3 b=2 c=1 "
    columns = "custom-columns=BOX:.metadata.name,SIZE:.data.size,NONE:.data.none"
    assert [line.split() for line in kubectl("get", *boxes, "-o", columns).splitlines()] == [
        ["BOX", "SIZE", "NONE"],
        ["a", "3", "<none>"],
        ["b", "2", "<none>"],
        ["c", "1", "<none>"],
    ]
    assert kubectl("get", "cm", "a", "-o", "go-template={{.data.size}}") == "3"
    listed = json.loads(kubectl("get", *boxes, "-o", "json"))
    assert (listed["kind"], listed["apiVersion"]) == ("List", "v1")
    assert [item["kind"] for item in listed["items"]] == ["ConfigMap"] * 3
    assert yaml.safe_load(kubectl("get", "cm", "b", "-o", "yaml"))["data"] == {"size": "2"}


def test_labels_as_columns_and_as_one(kubectl, boxes):
    header, first, *_ = kubectl("get", *boxes, "--show-labels").splitlines()
    assert header.split() == ["NAME", "DATA", "AGE", "LABELS"]
    assert first.split()[-1] == "box=a,odd=1"
    assert kubectl("get", *boxes, "-L", "odd").splitlines()[0].split() == ["NAME", "DATA", "AGE", "ODD"]


def test_selection_by_label_and_by_field(kubectl, boxes):
    def names(*arguments):
        return [line.partition("/")[2] for line in kubectl("get", "cm", *arguments, "-o", "name").split()]

    assert names("-l", "odd=1") == ["a", "c"]
    assert names("-l", "box,odd!=1") == ["b"]
    assert names("-l", "box in (a,b),odd notin (0)") == ["a"]
    assert names("-l", "box", "--field-selector", "metadata.name!=a") == ["b", "c"]
    refused = kubectl.fails("get", "cm", "--field-selector", "data.size=3")
    assert '"data.size" is not a known field selector: only "metadata.name", "metadata.namespace"' in refused


def test_sorted_by_any_field(kubectl, boxes):
    assert kubectl("get", *boxes, "--sort-by=.data.size", "-o", "name").split() == [
        "configmap/c",
        "configmap/b",
        "configmap/a",
    ]
    rows = kubectl("get", *boxes, "--sort-by=.data.size", "--no-headers").splitlines()
    assert [row.split()[0] for row in rows] == ["c", "b", "a"]


def test_small_chunks_make_the_same_list(kubectl, boxes):
    rows = [line.split()[:2] for line in kubectl("get", *boxes, "--chunk-size=1").splitlines()]
    assert rows == [["NAME", "DATA"], ["a", "1"], ["b", "1"], ["c", "1"]]


def test_all_namespaces_have_a_column(kubectl, boxes, namespace):
    rows = [line.split() for line in kubectl("get", "-A", *boxes).splitlines()]
    assert rows[0] == ["NAMESPACE", "NAME", "DATA", "AGE"]
    assert [row[1] for row in rows if row[0] == namespace] == ["a", "b", "c"]


def test_several_kinds_at_once_are_prefixed(kubectl, boxes):
    kubectl("create", "secret", "generic", "s", "--from-literal=a=b")
    printed = kubectl("get", "cm/a", "secret/s", "--no-headers").splitlines()
    assert [line.split()[0] for line in printed if line] == ["configmap/a", "secret/s"]


def test_what_is_not_there(kubectl):
    assert kubectl.fails("get", "cm", "x") == 'Error from server (NotFound): configmaps "x" not found\n'
    assert kubectl.fails("get", "nosuch") == 'error: the server doesn\'t have a resource type "nosuch"\n'
    assert kubectl("get", "cm", "x", "--ignore-not-found") == ""
    assert kubectl("get", "pods", check=False).stderr.startswith("No resources found in ")


def test_a_deprecated_kind_is_read_with_a_warning(kubectl):
    """(A12)"""
    read = kubectl("get", "endpoints", check=False)
    assert "Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice" in read.stderr


WATCHED = {
    "table": ((), [["w", "1"], ["w", "2"], ["w", "2"]]),
    "wide": (("-o", "wide"), [["w", "1"], ["w", "2"], ["w", "2"]]),
    "name": (("-o", "name"), [["configmap/w"]] * 3),
    "jsonpath": (("-o", "jsonpath={.metadata.name} {.data.b}{'\\n'}"), [["w"], ["w", "2"], ["w", "2"]]),
    "custom-columns": (
        ("-o", "custom-columns=N:.metadata.name,B:.data.b"),
        [["w", "<none>"], ["w", "2"], ["w", "2"]],
    ),
}


@pytest.mark.parametrize("form", WATCHED)
def test_watch_prints_a_line_for_each_change(kubectl, api, namespace, form):
    arguments, wanted = WATCHED[form]
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    api.create(path, {"metadata": {"name": "w"}, "data": {"a": "1"}})
    headers = () if form in ("name", "jsonpath") else ("--no-headers",)
    watch = kubectl.watching("get", "cm", "w", "-w", *arguments, *headers)
    try:
        lines = [watch.stdout.readline()]
        opened(watch)
        api.merge(f"{path}/w", {"data": {"b": "2"}})
        lines.append(watch.stdout.readline())
        api.delete(f"{path}/w")
        lines.append(watch.stdout.readline())
    finally:
        stop(watch)
    width = len(wanted[-1])
    assert [line.split()[:width] for line in lines] == wanted


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_watch_prints_whole_objects(kubectl, api, namespace, form):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    api.create(path, {"metadata": {"name": "w"}, "data": {"a": "1"}})
    watch = kubectl.watching("get", "cm", "w", "-w", "-o", form)
    end = "}\n" if form == "json" else None
    try:
        documents = [document(watch.stdout, end)]
        opened(watch)
        api.merge(f"{path}/w", {"data": {"b": "2"}})
        documents.append(document(watch.stdout, end))
    finally:
        stop(watch)
    assert [read["data"] for read in map(yaml.safe_load, documents)] == [{"a": "1"}, {"a": "1", "b": "2"}]


def test_watch_can_tell_what_happened(kubectl, api, namespace):
    path = f"/api/v1/namespaces/{namespace}/secrets"
    api.create(path, {"metadata": {"name": "w"}})
    watch = kubectl.watching("get", "secret", "w", "-w", "--output-watch-events", "--no-headers")
    try:
        lines = [watch.stdout.readline()]
        opened(watch)
        api.merge(f"{path}/w", {"stringData": {"a": "1"}})
        lines.append(watch.stdout.readline())
        api.delete(f"{path}/w")
        lines.append(watch.stdout.readline())
    finally:
        stop(watch)
    assert [line.split()[:4] for line in lines] == [
        ["ADDED", "w", "Opaque", "0"],
        ["MODIFIED", "w", "Opaque", "1"],
        ["DELETED", "w", "Opaque", "1"],
    ]


def document(stream, end):
    """One document of a stream: to a line that closes it, or as YAML up to its last field, the uid."""
    lines = []
    for line in stream:
        lines.append(line)
        if line == end or (end is None and line.startswith("  uid:")):
            break
    return "".join(lines).removeprefix("---\n")


def stop(process):
    process.terminate()
    process.wait()
    process.stdout.close()
    process.stderr.close()
