"""Kinds that a definition makes, by every kubectl: created, applied, explained, listed with columns, and gone again."""

from __future__ import annotations

import json
import time

import pytest
import yaml

pytestmark = pytest.mark.kubectl

SPEC = {
    "description": "What the gear is to do.",
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"description": "How large it is.", "type": "integer", "minimum": 1},
        "mode": {"type": "string", "enum": ["calm", "wild"], "default": "calm"},
        "share": {"x-kubernetes-int-or-string": True},
        "limits": {"type": "object", "additionalProperties": {"type": "string"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "nothing": {"type": "string", "nullable": True},
    },
}
COLUMNS = [
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
    {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"},
    {"name": "Mode", "type": "string", "jsonPath": ".spec.mode", "priority": 1},
]
CONDITION = {"type": "object", "properties": {"type": {"type": "string"}, "status": {"type": "string"}}}
STATUS = {"type": "object", "properties": {"conditions": {"type": "array", "items": CONDITION}}}


@pytest.fixture
def group(kubectl, namespace, tmp_path):
    """The group of an established kind Gear, of this test's own."""
    group = f"{namespace}.example.com"
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": COLUMNS,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}},
    }
    names = {"plural": "gears", "singular": "gear", "kind": "Gear", "shortNames": [f"g{namespace}"]}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"gears.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    path = tmp_path / "definition.yaml"
    path.write_text(yaml.safe_dump(definition))
    kubectl("apply", "-f", str(path))
    kubectl("wait", "--for=condition=Established", "--timeout=90s", f"crd/gears.{group}")
    yield group
    kubectl("delete", "crd", f"gears.{group}", "--ignore-not-found", "--timeout=90s")


@pytest.fixture
def write(group, tmp_path):
    def act(name="one", **spec):
        path = tmp_path / f"{name}.yaml"
        body = {"apiVersion": f"{group}/v1", "kind": "Gear", "metadata": {"name": name}, "spec": {"size": 3, **spec}}
        path.write_text(yaml.safe_dump(body))
        return str(path)

    return act


def test_objects_are_created_listed_with_columns_and_deleted(kubectl, group, write):
    assert kubectl("create", "-f", write(share="10%", limits={"a": "b"})) == f"gear.{group}/one created\n"
    header, line = kubectl("get", f"gears.{group}").splitlines()
    assert header.split() == ["NAME", "SIZE", "READY"]
    assert line.split()[:2] == ["one", "3"]
    patch = json.dumps({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    if kubectl.minor >= 24:
        kubectl("patch", f"gears.{group}", "one", "--type=merge", "--subresource=status", "-p", patch)
        header, line = kubectl("get", f"g{group.partition('.')[0]}", "-o", "wide").splitlines()
        assert (header.split(), line.split()) == (["NAME", "SIZE", "READY", "MODE"], ["one", "3", "True", "calm"])
    kubectl("delete", f"gears.{group}", "one")
    assert "No resources found" in kubectl("get", f"gears.{group}", check=False).stderr


def test_apply_merges_what_was_applied_before(kubectl, group, write):
    kubectl("apply", "-f", write(limits={"a": "1", "b": "2"}, mode="wild"))
    printed = kubectl("apply", "-f", write(limits={"b": "3"}))
    assert printed == f"gear.{group}/one configured\n"
    spec = json.loads(kubectl("get", f"gears.{group}", "one", "-o", "json"))["spec"]
    assert spec == {"size": 3, "limits": {"b": "3"}, "mode": "calm"}
    assert kubectl("apply", "-f", write(limits={"b": "3"})) == f"gear.{group}/one unchanged\n"
    kubectl.since(18, "server-side apply")
    applied = kubectl("apply", "--server-side", "--force-conflicts", "-f", write(size=7))
    assert applied == f"gear.{group}/one serverside-applied\n"


def test_what_is_wrong_is_refused_before_and_by_the_server(kubectl, group, write):
    assert "nonsense" in kubectl.fails("apply", "-f", write(nonsense=1))
    assert 'Unsupported value: "odd"' in kubectl.fails("create", "--validate=false", "-f", write(mode="odd"))


def test_explain_tells_what_the_definition_says(kubectl, group):
    told = kubectl("explain", "--api-version", f"{group}/v1", "gear.spec")
    for text in ("What the gear is to do.", "How large it is.", "size", "mode"):
        assert text in told


def test_a_definition_that_is_deleted_takes_its_objects_along(kubectl, group, write):
    kubectl("create", "-f", write())
    kubectl("delete", "crd", f"gears.{group}", "--timeout=90s")
    deadline = time.monotonic() + 60
    while f"gears.{group}" in kubectl("api-resources", "--api-group", group, "-o", "name", check=False).stdout:
        assert time.monotonic() < deadline
    assert "the server doesn't have a resource type" in kubectl.fails("get", f"gears.{group}")
