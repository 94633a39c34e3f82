import json
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.api import registry
from holdfast.api.schema import definitions, messages, types
from holdfast.api.schema.structs import conform
from holdfast.api.schema.types import Type
from holdfast.api.schema.walk import Walk


def test_every_served_kind_has_a_type() -> None:
    for resource in registry.RESOURCES:
        kind = types.type_of(resource.group, resource.version, resource.kind)
        assert kind is not None, resource
        assert list(kind.fields)[:3] == ["kind", "apiVersion", "metadata"]


def test_every_served_kind_has_a_message_a47() -> None:
    for resource in registry.RESOURCES:
        if resource.group == "snapshot.storage.k8s.io":
            continue  # upstream's are custom resources, which have none
        name = definitions.definition_name(resource.group, resource.version, resource.kind)
        assert messages.message(messages.message_name(name)), resource


def test_fields_know_how_they_are_patched_a128() -> None:
    spec = types.named("io.k8s.api.core.v1.PodSpec").fields
    assert (spec["containers"].patch_merge_key, spec["containers"].patch_strategies) == ("name", {"merge"})
    assert spec["volumes"].patch_strategies == {"merge", "retainKeys"}
    assert spec["tolerations"].patch_strategies == frozenset()
    ports = types.named("io.k8s.api.core.v1.Container").fields["ports"]
    assert ports.patch_merge_key == "containerPort"


def test_types_have_the_names_of_go() -> None:
    spec = types.named("io.k8s.api.core.v1.PodSpec").fields
    assert spec["containers"].type.go == "[]v1.Container"
    assert spec["nodeSelector"].type.go == "map[string]string"
    assert spec["securityContext"].type.go == "v1.PodSecurityContext"
    assert spec["terminationGracePeriodSeconds"].type.go == "int64"


def test_a_missing_definition_is_an_error_of_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, "MINOR", "9.99")
    with pytest.raises(RuntimeError, match=r"install a version of the package kubernetes-validate that carries 9\.99"):
        definitions._path()


def test_starting_up_loads_nothing_of_it() -> None:
    """The decoder may be imported by the daemon at its start; schema, YAML and protobuf come when needed."""
    program = (
        "import sys, holdfast.api.decode; from holdfast.api.schema import definitions as d; "
        "assert d._definitions.cache_info().currsize == 0; "
        "print([m for m in sys.modules if m.split('.')[0] in ('yaml', 'jsonschema', 'kubernetes_validate')])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


PODS = types.named("io.k8s.api.core.v1.Pod")


def values(kind: Type, depth: int) -> st.SearchStrategy:
    """JSON that fits a type."""
    match kind.form:
        case "string":
            return st.sampled_from(["", "a", "b"])
        case "bool":
            return st.booleans()
        case "int32" | "int64":
            return st.integers(-1, 2)
        case "float64":
            return st.sampled_from([0.5, 1.5])
        case "quantity" | "resource-quantity":
            return st.sampled_from(["0", "1", "1500m", "1024Ki"])
        case "int-or-string":
            return st.sampled_from([0, 80, "", "web"])
        case "time" | "micro-time":
            return st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.5+01:00"])
        case "bytes":
            return st.sampled_from(["", "YWI="])
        case "list":
            return st.lists(values(kind.item, depth), max_size=1) if depth else st.just([])
        case "map":
            return (
                st.dictionaries(st.sampled_from("ab"), values(kind.item, depth), max_size=1) if depth else st.just({})
            )
        case "struct" if depth:
            members = {name: values(field.type, depth - 1) for name, field in kind.fields.items()}
            names = st.lists(st.sampled_from(sorted(members)), max_size=4, unique=True)
            return names.flatmap(lambda chosen: st.fixed_dictionaries({name: members[name] for name in chosen}))
    return st.just({})


FITTING = values(types.named("io.k8s.api.core.v1.PodSpec"), 3)


@given(FITTING)
def test_the_fast_way_and_the_slow_way_agree(spec: dict) -> None:
    document = {"spec": spec}
    fast = conform(PODS, document)
    walk = Walk()
    assert conform(PODS, walk.struct(PODS, document)) == fast
    assert walk.problems == []
    assert conform(PODS, fast) == fast, "what was decoded once stays as it is"
    assert json.loads(msgspec.json.encode(fast)) == fast


@given(FITTING)
def test_unknown_fields_anywhere_change_nothing_else(spec: dict) -> None:
    polluted = {"x-unknown": 1, "spec": {**spec, "colour": "red"}}
    walk = Walk()
    assert walk.struct(PODS, polluted) == walk.struct(PODS, {"spec": spec})
    assert walk.problems == ['unknown field "x-unknown"', 'unknown field "spec.colour"']
