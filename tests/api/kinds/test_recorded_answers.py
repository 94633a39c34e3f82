"""What a real API server answered to good and bad objects, against default, prepare and validate of each kind.

The recordings live beside the repository; without them there is nothing to compare with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.api import registry
from holdfast.api.decode import decode_body
from holdfast.api.errors import BadRequest, FieldError, invalid_object
from holdfast.api.metadata import validate_metadata
from holdfast.api.resource import Manifest, Resource

RECORDINGS = Path(__file__).parents[4] / "shared" / "golden"
pytestmark = pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not beside the repository")

NOW = "2026-01-01T00:00:00Z"
UID = "3aa2c976-9d17-4985-a302-b8997de3985c"
"""What a recorded uid is replaced by."""
FROM_ADMISSION = {
    "": (
        *("metadata.uid", "metadata.creationTimestamp", "metadata.namespace", "metadata.resourceVersion"),
        *("metadata.generation", "metadata.finalizers", "metadata.name"),
    ),
    "Pod": (
        *("spec.serviceAccount", "spec.priority", "spec.preemptionPolicy", "spec.tolerations", "spec.volumes"),
        "spec.containers[0].volumeMounts",
    ),
    "Service": (
        *("spec.clusterIP", "spec.ipFamil", "spec.healthCheckNodePort", "spec.ports[0].nodePort"),
        "spec.ports[1].nodePort",
    ),
    "Node": ("spec.taints",),
}
"""What admission and the allocators add; it is tested where it is made."""
BY_ALLOCATORS = ("failed to allocate IP", "valid ports is", "already allocated", "not configured", "is not configured")


_is_uid = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Step:
    def __init__(self, name: str, request: Manifest, answer: Manifest, namespace: str) -> None:
        self.name, self.request, self.answer, self.namespace = name, request, answer, namespace

    @property
    def resource(self) -> Resource | None:
        path = self.request["do"].split()[1].partition("?")[0].strip("/").split("/")
        group, version, rest = ("", path[1], path[2:]) if path[0] == "api" else (path[1], path[2], path[3:])
        if rest[0] == "namespaces" and len(rest) > 2:
            rest = rest[2:]
        return registry.lookup(group, version, rest[0])


def steps(recording: str) -> Iterator[Step]:
    file = RECORDINGS / f"{recording}.json"
    if not file.exists():
        return
    recorded = json.loads((RECORDINGS / f"{recording}.answers.json").read_text())
    answers = {answer["step"]: answer for answer in recorded["answers"]}
    text = file.read_text().replace("{ns}", recorded["namespace"])
    answers = {name: json.loads(_is_uid.sub(UID, json.dumps(answer))) for name, answer in answers.items()}
    for step in json.loads(text)["steps"]:
        if "cases" not in step:
            if step["name"] in answers:
                yield Step(step["name"], step, answers[step["name"]], recorded["namespace"])
            continue
        for case, changes in step["cases"].items():
            name = f"{step['name']}: {case}"
            yield Step(name, {**step, "body": changed(step["body"], changes)}, answers[name], recorded["namespace"])


def changed(body: Manifest, changes: Manifest) -> Manifest:
    """A copy of the body with the values at JSON pointers set, or removed by null."""
    copy = json.loads(json.dumps(body))
    for pointer, value in changes.items():
        *path, last = pointer.strip("/").split("/")
        place = copy
        for part in path:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        if isinstance(place, list):
            place[int(last)] = value
        elif value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return copy


def params(*recordings: str) -> list[Any]:
    found = [(recording, step) for recording in recordings for step in steps(recording)]
    return [pytest.param(step, id=f"{recording}: {step.name}") for recording, step in found if step.resource]


def created(resource: Resource, body: Manifest, namespace: str) -> tuple[Manifest, list[FieldError]]:
    """What a create makes of a body before it is stored."""
    manifest, _ = decode_body(resource, msgspec.json.encode(body), "application/json")
    if resource.namespaced:
        manifest["metadata"]["namespace"] = namespace
    if "generateName" in manifest["metadata"]:
        manifest["metadata"].setdefault("name", f"{manifest['metadata']['generateName']}tp4px")
    manifest["metadata"]["creationTimestamp"] = NOW
    manifest["metadata"]["uid"] = UID
    if resource.has_status and not resource.keeps_status_on_create:
        manifest.pop("status", None)
    resource.default(manifest)
    resource.prepare_create(manifest)
    errors = [*validate_metadata(manifest, resource), *resource.validate(manifest)]
    # A pod first gets its account by admission.
    return manifest, errors if resource.kind == "Pod" else [*errors, *resource.validate_create(manifest)]


def paths(value: Any, at: str = "") -> dict[str, Any]:
    """Every leaf by its path; empty lists and maps are leaves."""
    if isinstance(value, dict) and value:
        return {p: v for k, m in value.items() for p, v in paths(m, f"{at}.{k}" if at else k).items()}
    if isinstance(value, list) and value:
        return {p: v for i, m in enumerate(value) for p, v in paths(m, f"{at}[{i}]").items()}
    return {at: value}


@pytest.mark.parametrize(
    "step", params("defaults/pod", "defaults/storage", "defaults/services", "defaults/configuration")
)
def test_a_new_object_is_filled_in_as_upstream_does(step: Step) -> None:
    assert step.resource is not None
    if step.answer["code"] != 201:
        pytest.skip("refused by an allocator")
    manifest, errors = created(step.resource, step.request["body"], step.namespace)
    assert not errors
    ours, theirs = paths(manifest), paths(step.answer["body"])
    added = FROM_ADMISSION[""] + FROM_ADMISSION.get(step.resource.kind, ())
    theirs = {path: value for path, value in theirs.items() if path in ours or not path.startswith(added)}
    theirs.update({path: NOW for path in theirs if path in ours and path.endswith("Time") and ours[path] == NOW})
    theirs["metadata.creationTimestamp"] = NOW
    if isinstance(ours.get("metadata"), dict):
        ours.pop("metadata")
    assert ours == theirs
    deprecation = [step.resource.deprecation] if step.resource.deprecation else []
    warnings = [*deprecation, *step.resource.warnings(manifest)]
    assert warnings == [_unquoted(w) for w in step.answer["headers"].get("Warning", ())]


def _unquoted(warning: str) -> str:
    return re.sub(r"\\(.)", r"\1", warning.removeprefix('299 - "').removesuffix('"'))


@pytest.mark.parametrize(
    "step",
    params(
        "validation/pod",
        "validation/workloads",
        "validation/storage",
        "validation/service",
        "validation/configuration",
    ),
)
def test_a_new_object_is_refused_as_upstream_does(step: Step) -> None:
    resource, answer = step.resource, step.answer
    assert resource is not None
    if "compilation failed" in str(answer["body"].get("message")):
        pytest.skip("rules in CEL are not compiled")
    if answer["code"] == 403 or any(text in str(answer["body"].get("message")) for text in BY_ALLOCATORS):
        pytest.skip("refused by admission")
    if answer["code"] == 400:
        with pytest.raises(BadRequest, match=f"^{re.escape(answer['body']['message'])}$"):
            created(resource, step.request["body"], step.namespace)
        return
    manifest, errors = created(resource, step.request["body"], step.namespace)
    if not errors:
        assert answer["code"] == 201, answer["body"]["message"]
        return
    refusal = invalid_object(resource.kind, resource.group, manifest["metadata"].get("name", ""), errors)
    assert refusal.message == answer["body"].get("message")
    assert refusal.status()["details"] == answer["body"]["details"]


def merged(target: Any, patch: Any) -> Any:
    """A merge patch; lists of containers merge by name, as a strategic one would."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif key == "containers":
            known = {item["name"]: item for item in result.get(key, [])}
            for item in value:
                known[item["name"]] = merged(known.get(item["name"], {}), item)
            result[key] = list(known.values())
        else:
            result[key] = merged(result.get(key), value)
    return result


def updated(resource: Resource, old: Manifest, patch: Manifest) -> tuple[Manifest, list[FieldError]]:
    """What an update through the main resource makes of it."""
    new, _ = decode_body(resource, msgspec.json.encode(merged(old, patch)), "application/json")
    if resource.has_status:
        new.pop("status", None)
    resource.default(new)
    if "status" in old:
        new["status"] = old["status"]
    resource.prepare_update(new, old)
    errors = resource.validate(new) if resource.validates_updates_whole else []
    return new, [*errors, *resource.validate_update(new, old)]


def kept_objects() -> Iterator[tuple[Step, Manifest, Resource]]:
    """Each patch of the recording, with the object it was sent to."""
    objects: dict[str, Manifest] = {}
    quiet = RECORDINGS / "validation/immutable.json"
    if not quiet.exists():
        return
    recorded = json.loads((RECORDINGS / "validation/immutable.answers.json").read_text())
    namespace = recorded["namespace"]
    for made in json.loads(quiet.read_text().replace("{ns}", namespace))["steps"]:
        method, _, path = made.get("do", "").partition(" ")
        if method == "POST":
            step = Step(made["name"], made, {}, namespace)
            if step.resource:
                objects[f"{path}/{made['body']['metadata']['name']}"] = made["body"]
    for step in steps("validation/immutable"):
        resource, path = step.resource, step.request["do"].partition(" ")[2]
        if resource and path in objects and step.request["do"].startswith("PATCH") and "metadata" not in step.name:
            yield step, objects[path], resource


@pytest.mark.parametrize(
    ("step", "body", "resource"),
    [pytest.param(*found, id=found[0].name) for found in kept_objects() if isinstance(found[0].request["body"], dict)],
)
def test_what_may_not_change_is_refused_as_upstream_does(step: Step, body: Manifest, resource: Resource) -> None:
    old, errors = created(resource, body, step.namespace)
    assert not errors
    if resource.kind == "Pod":
        old["spec"]["serviceAccountName"] = old["spec"]["serviceAccount"] = "default"
        old["spec"]["priority"], old["spec"]["preemptionPolicy"] = 0, "PreemptLowerPriority"
        if "may not lengthen" in step.name:
            old["spec"]["activeDeadlineSeconds"] = 100
    if resource.kind == "Service":
        old["spec"].update(clusterIP="10.96.1.1", clusterIPs=["10.96.1.1"])
    _, errors = updated(resource, old, step.request["body"])
    if step.answer["code"] == 200:
        assert not errors
        return
    refusal = invalid_object(resource.kind, resource.group, body["metadata"]["name"], errors)
    assert refusal.message == step.answer["body"]["message"]
    assert refusal.status()["details"] == step.answer["body"]["details"]
