"""Definitions of custom resources: names, versions, schemas (A196-A198)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.api.apiextensions.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS as DEFINITIONS
from holdfast.api.decode import decode_body
from holdfast.api.errors import BadRequest
from holdfast.api.resource import Manifest

STRING = {"type": "string"}


def version(name: str = "v1", *, storage: bool = True, schema: Manifest | None = None, **others: Any) -> Manifest:
    schema = {"type": "object"} if schema is None else schema
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": schema}, **others}


def definition(*versions: Manifest, name: str = "gears.example.com", **changed: Any) -> Manifest:
    spec = {"group": "example.com", "scope": "Namespaced", "names": {"plural": "gears", "kind": "Gear"}, **changed}
    made: Manifest = {"metadata": {"name": name}, "spec": {**spec, "versions": [*(versions or (version(),))]}}
    DEFINITIONS.default(made)
    DEFINITIONS.prepare_create(made)
    return made


def refusals(made: Manifest) -> list[str]:
    return [str(error) for error in DEFINITIONS.validate(made)]


def of_schema(schema: Manifest, **others: Any) -> list[str]:
    """What is wrong with a schema, without the way to it."""
    made = definition(version(schema=schema, **others))
    return [text.removeprefix("spec.validation.openAPIV3Schema") for text in refusals(made)]


def test_a196_a_definition_is_filled_in() -> None:
    made = definition()
    assert made["spec"]["names"] == {"plural": "gears", "kind": "Gear", "singular": "gear", "listKind": "GearList"}
    assert made["spec"]["conversion"] == {"strategy": "None"}
    accepted = {"kind": "", "plural": ""}
    assert made["status"] == {"acceptedNames": accepted, "conditions": None, "storedVersions": ["v1"]}
    assert refusals(made) == []


def test_a196_its_name_is_that_of_the_resource() -> None:
    assert refusals(definition(name="gear.example.com")) == [
        'metadata.name: Invalid value: "gear.example.com": must be spec.names.plural+"."+spec.group'
    ]


def test_a197_one_version_is_stored() -> None:
    given = definition(version("v1"), version("v2"))
    assert [text.rpartition(": ")[2] for text in refusals(given)] == [
        "must have exactly one version marked as storage version"
    ]
    none = '{"Name":"v1","Served":true,"Storage":false,"Deprecated":false,"DeprecationWarning":null,"Schema":null,'
    none += '"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null}'
    assert refusals(definition(version(storage=False))) == [
        f"spec.versions: Invalid value: [{none}]: must have exactly one version marked as storage version",
        "status.storedVersions: Invalid value: null: must have at least one stored version",
    ]


def test_a197_a_version_in_which_objects_were_stored_stays() -> None:
    old = definition(version("v1"))
    new = definition(version("v2"))
    new["status"] = old["status"]
    DEFINITIONS.prepare_update(new, old)
    assert new["status"]["storedVersions"] == ["v1", "v2"]
    assert old["status"]["storedVersions"] == ["v1"]
    assert refusals(new) == [
        'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was previously a storage '
        "version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 "
        "and removes v1 from status.storedVersions"
    ]


def test_names_stay_once_they_are_established() -> None:
    old, new = definition(), definition(scope="Cluster")
    assert DEFINITIONS.validate_update(new, old) == []
    old["status"]["conditions"] = [{"type": "Established", "status": "True"}]
    (error,) = DEFINITIONS.validate_update(new, old)
    assert str(error) == 'spec.scope: Invalid value: "Cluster": field is immutable'


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"scope": ""}, "spec.scope: Required value"),
        ({"scope": "All"}, 'spec.scope: Unsupported value: "All": supported values: "Cluster", "Namespaced"'),
        (
            {"preserveUnknownFields": True},
            "spec.preserveUnknownFields: Invalid value: true: cannot set to true, "
            "set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ),
        (
            {"names": {"plural": "gears", "kind": "Gear", "listKind": "Gear"}},
            'spec.names.listKind: Invalid value: "Gear": kind and listKind may not be the same',
        ),
        (
            {"conversion": {"strategy": "Webhook"}},
            "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
        ),
    ],
)
def test_a_definition_is_refused_in_upstreams_words(changed: Manifest, refusal: str) -> None:
    assert refusal in refusals(definition(**changed))


def test_a198_kubernetes_own_groups_take_an_approval() -> None:
    made = definition(group="x.k8s.io", name="gears.x.k8s.io")
    see = 'protected groups must have approval annotation "api-approved.kubernetes.io"'
    assert refusals(made) == [
        f"metadata.annotations[api-approved.kubernetes.io]: Required value: {see}, "
        "see https://github.com/kubernetes/enhancements/pull/1111"
    ]
    for approval, is_fine in (("unapproved, a test", True), ("https://github.com/x/y", True), ("yes", False)):
        made["metadata"]["annotations"] = {"api-approved.kubernetes.io": approval}
        assert (refusals(made) == []) is is_fine


def test_what_differs_between_versions_is_looked_at_in_each() -> None:
    made = definition(version("v1"), version("v2", storage=False, schema={"properties": {"a": STRING}}))
    assert refusals(made) == [
        "spec.versions[1].schema.openAPIV3Schema.type: Required value: must not be empty at the root"
    ]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object", "properties": {"a": STRING}}, []),
        ({"type": "array", "items": STRING}, [".type: Invalid value: \"array\": must be object at the root"]),
        (
            {"type": "object", "properties": {"a": {}}},
            [".properties[a].type: Required value: must not be empty for specified object fields"],
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array", "items": {}}}},
            [".properties[a].items.type: Required value: must not be empty for specified array items"],
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array"}}},
            [".properties[a].items: Required value: must be specified"],
        ),
        ({"type": "object", "properties": {"a": {"x-kubernetes-int-or-string": True}}}, []),
        ({"type": "object", "properties": {"a": {"x-kubernetes-preserve-unknown-fields": True}}}, []),
        ({"type": "object", "$ref": "#/x"}, [".$ref: Forbidden: $ref is not supported"]),
        (
            {"type": "object", "properties": {"a": {"type": "array", "items": STRING, "uniqueItems": True}}},
            [
                ".properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime "
                "complexity becomes quadratic"
            ],
        ),
        (
            {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": STRING},
                                                    "additionalProperties": STRING}}},
            [
                ".properties[a].additionalProperties: Forbidden: "
                "additionalProperties and properties are mutual exclusive"
            ],
        ),
        (
            {"type": "object", "properties": {"a": {**STRING, "anyOf": [{"type": "string"}]}}},
            [".properties[a].anyOf[0].type: Forbidden: must be empty to be structural"],
        ),
        (
            {"type": "object", "allOf": [{"properties": {"a": {"minLength": 1}}}]},
            [
                ".properties[a]: Required value: because it is defined in "
                "spec.validation.openAPIV3Schema.allOf[0].properties[a]"
            ],
        ),
        (
            {"type": "object", "properties": {"metadata": {"type": "object",
                                                           "properties": {"labels": {"type": "object"}}}}},
            [
                ".properties[metadata]: Forbidden: must not specify anything other than name and generateName, "
                "but metadata is implicitly specified"
            ],
        ),
        ({"type": "object", "nullable": True}, [".nullable: Forbidden: nullable cannot be true at the root"]),
        (
            {"type": "object", "properties": {"a": {"type": "array", "x-kubernetes-list-type": "map",
                                                    "x-kubernetes-list-map-keys": ["n"],
                                                    "items": {"type": "object", "properties": {"n": STRING}}}}},
            [
                ".properties[a].items.properties[n].default: Required value: this property is in "
                "x-kubernetes-list-map-keys, so it must have a default or be a required property"
            ],
        ),
    ],
)  # fmt: skip
def test_a198_a_schema_is_structural(schema: Manifest, expected: list[str]) -> None:
    assert of_schema(schema) == expected


def test_int_or_string_may_be_written_out() -> None:
    either = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert of_schema({"type": "object", "properties": {"a": either}}) == []
    within = {"x-kubernetes-int-or-string": True, "allOf": [{"anyOf": either["anyOf"]}, {"pattern": "x"}]}
    assert of_schema({"type": "object", "properties": {"a": within}}) == []


def test_paths_of_the_scale_subresource_lie_where_they_belong() -> None:
    scale = {"specReplicasPath": ".status.replicas", "statusReplicasPath": ""}
    made = definition(version(subresources={"scale": scale}))
    assert refusals(made) == [
        'spec.subresources.scale.specReplicasPath: Invalid value: ".status.replicas": '
        "should be a json path under .spec",
        "spec.subresources.scale.statusReplicasPath: Required value",
    ]


def decoded(schema: Any) -> tuple[Manifest, list[str]]:
    body = {"metadata": {"name": "a"}, "spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}}
    manifest, warnings = decode_body(DEFINITIONS, json.dumps(body).encode(), "application/json")
    return manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"], warnings


def test_a74_a_schema_is_read_to_the_bottom() -> None:
    inner = {"properties": {"b": {"type": "string", "nullable": False, "typo": 1}}}
    found, warnings = decoded({"properties": {"a": {"additionalProperties": inner, "items": [STRING]}}})
    assert found == {"properties": {"a": {"additionalProperties": {"properties": {"b": STRING}}, "items": [STRING]}}}
    at = "spec.versions[0].schema.openAPIV3Schema.properties.a.additionalProperties.properties.b"
    assert warnings == [f'unknown field "{at}.typo"']


def test_a_schema_is_a_schema_or_what_may_stand_for_it() -> None:
    assert decoded({"properties": {"a": {"additionalProperties": False, "default": {"any": [1]}}}})[0] == {
        "properties": {"a": {"additionalProperties": False, "default": {"any": [1]}}}
    }
    with pytest.raises(BadRequest, match="boolean or JSON schema expected"):
        decoded({"properties": {"a": {"additionalProperties": 5}}})
    with pytest.raises(BadRequest, match="cannot unmarshal number into Go struct field"):
        decoded({"properties": {"a": {"type": 5}}})
