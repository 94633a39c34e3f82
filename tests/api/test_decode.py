"""Bodies, as recorded from a real API server of 1.36."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.api import decode
from holdfast.api.apiextensions.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS
from holdfast.api.errors import ApiError, BadRequest, Invalid, UnsupportedMediaType
from holdfast.api.resource import Resource

CONFIG_MAPS = Resource(group="", version="v1", kind="ConfigMap", plural="configmaps")
SECRETS = Resource(group="", version="v1", kind="Secret", plural="secrets")
PODS = Resource(group="", version="v1", kind="Pod", plural="pods")
STATEFUL_SETS = Resource(group="apps", version="v1", kind="StatefulSet", plural="statefulsets")
DEPLOYMENTS = Resource(group="apps", version="v1", kind="Deployment", plural="deployments")
LEASES = Resource(group="coordination.k8s.io", version="v1", kind="Lease", plural="leases")
QUOTAS = Resource(group="", version="v1", kind="ResourceQuota", plural="resourcequotas")

JSON = "application/json"
YAML = "application/yaml"


def config_map(**members) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, **members}


def decoded(document, resource: Resource = CONFIG_MAPS, strictness: str = "Warn"):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return decode.decode_body(resource, body, JSON, strictness)


def refusal(document, resource: Resource = CONFIG_MAPS, strictness: str = "Warn", content_type: str = JSON) -> ApiError:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(ApiError) as raised:
        decode.decode_body(resource, body, content_type, strictness)
    return raised.value


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", "APPLICATION/JSON", ""])
def test_json_is_read_and_a_missing_content_type_means_json_a45(content_type: str) -> None:
    body = json.dumps(config_map(data={"a": "b"})).encode()
    assert decode.decode_body(CONFIG_MAPS, body, content_type, "Strict") == (config_map(data={"a": "b"}), [])


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/cbor"])
def test_other_content_types_are_415_a45_a50(content_type: str) -> None:
    error = refusal(b"a", content_type=content_type)
    assert isinstance(error, UnsupportedMediaType)
    assert error.message == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )


UNRECOGNIZED = "the object provided is unrecognized (must be of type ConfigMap): "
NO_KIND = UNRECOGNIZED + "couldn't get version/kind; json parse error: "
TYPE_META = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{nope", NO_KIND + "invalid character 'n' looking for beginning of object key string ({nope)"),
        (b"", NO_KIND + "unexpected end of JSON input (<empty>)"),
        (b"[]", NO_KIND + f"json: cannot unmarshal array into Go value of type {TYPE_META} (5b5d)"),
        (b'"a"', NO_KIND + f"json: cannot unmarshal string into Go value of type {TYPE_META} (226122)"),
        (
            b'{"apiVersion": "a/b/c", "kind": "ConfigMap"}',
            UNRECOGNIZED + 'unexpected GroupVersion string: a/b/c ({"apiVersion": "a/b/c", "kind" ...)',
        ),
    ],
)
def test_unreadable_bodies_a62(body: bytes, message: str) -> None:
    error = refusal(body)
    assert isinstance(error, BadRequest)
    assert error.message == message


@pytest.mark.parametrize(
    ("api_version", "kind", "message"),
    [
        (
            "v1",
            "Secret",
            'Secret in version "v1" cannot be handled as a ConfigMap: '
            "converting (v1.Secret) to (core.ConfigMap): unknown conversion",
        ),
        (
            "apps/v1",
            "ConfigMap",
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered '
            'for version "apps/v1" in scheme "pkg/api/legacyscheme/scheme.go:30"',
        ),
        (
            "v1",
            "Nothing",
            'Nothing in version "v1" cannot be handled as a ConfigMap: no kind "Nothing" is registered '
            'for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30"',
        ),
    ],
)
def test_other_kinds_are_refused_a62(api_version: str, kind: str, message: str) -> None:
    assert refusal({"apiVersion": api_version, "kind": kind}).message == message


@pytest.mark.parametrize("document", [{"metadata": {"name": "a"}}, {"kind": "ConfigMap", "metadata": {"name": "a"}}])
def test_a_missing_kind_comes_from_the_url_a62(document: dict) -> None:
    assert decoded(document) == (config_map(), [])
    for strange in ({}, {"x-unknown": 1}):
        assert list(decoded({**document, **strange})[0]) == ["kind", "apiVersion", "metadata"]


def cannot(kind: str, detail: str) -> str:
    return f'{kind} in version "v1" cannot be handled as a {kind}: {detail}'


CONTAINERS = {"spec": {"containers": [{"name": "a", "image": "b"}]}}


@pytest.mark.parametrize(
    ("resource", "document", "detail"),
    [
        (
            DEPLOYMENTS,
            {"spec": {"replicas": "1"}},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            PODS,
            {"spec": {"hostNetwork": "yes"}},
            "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool",
        ),
        (
            STATEFUL_SETS,
            {"spec": {"replicas": 99999999999}},
            "json: cannot unmarshal number 99999999999 into Go struct field StatefulSetSpec.spec.replicas "
            "of type int32",
        ),
        (
            STATEFUL_SETS,
            {"spec": {"replicas": 1.5}},
            "json: cannot unmarshal number 1.5 into Go struct field StatefulSetSpec.spec.replicas of type int32",
        ),
        (
            CONFIG_MAPS,
            {"metadata": {"labels": ["a"]}},
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            CONFIG_MAPS,
            {"data": {"a": 1}},
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            PODS,
            {"spec": {"containers": {}}},
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            PODS,
            {"spec": "x"},
            "json: cannot unmarshal string into Go struct field Pod.spec of type v1.PodSpec",
        ),
        (
            PODS,
            {"spec": {"containers": [{"args": [True]}]}},
            "json: cannot unmarshal bool into Go struct field Container.spec.containers.args of type string",
        ),
        (
            PODS,
            {"metadata": {"creationTimestamp": "yesterday"}},
            'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
        ),
        (
            LEASES,
            {"spec": {"renewTime": "yesterday"}},
            'parsing time "yesterday" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "yesterday" as "2006"',
        ),
        (
            PODS,
            {"spec": {"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}},
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (CONFIG_MAPS, {"binaryData": {"c": "!!"}}, "illegal base64 data at input byte 0"),
        (SECRETS, {"data": {"a": "b!"}}, "illegal base64 data at input byte 1"),
    ],
)
def test_wrong_types_are_refused_in_the_words_of_go_a62(resource: Resource, document: dict, detail: str) -> None:
    assert refusal(document, resource).message == cannot(resource.kind, detail)


def test_unknown_fields_are_dropped_with_a_warning_each_a74() -> None:
    document = config_map(metadata={"name": "a", "colour": "red"}, size=3)
    warnings = ['unknown field "metadata.colour"', 'unknown field "size"']
    assert decoded(document) == (config_map(), warnings)
    assert decoded(document, strictness="Ignore") == (config_map(), [])
    strict = "strict decoding error: " + ", ".join(warnings)
    assert refusal(document, strictness="Strict").message == cannot("ConfigMap", strict)


def test_deep_unknown_fields_are_named_in_the_order_of_the_document_a74() -> None:
    document = {
        "spec": {
            "template": {"spec": {"flavour": "sweet", "containers": [{"name": "main", "taste": "sour"}]}},
            "colour": "red",
            "Replicas": 1,
        }
    }
    manifest, warnings = decoded(document, STATEFUL_SETS)
    assert warnings == [
        'unknown field "spec.template.spec.flavour"',
        'unknown field "spec.template.spec.containers[0].taste"',
        'unknown field "spec.colour"',
        'unknown field "spec.Replicas"',
    ]
    assert manifest["spec"] == {"template": {"spec": {"containers": [{"name": "main"}]}}, "serviceName": ""}


def test_of_duplicates_the_last_wins_with_a_warning_a74() -> None:
    body = b'{"kind":"ConfigMap","metadata":{"name":"dup","name":"a"},"x":1,"data":{"a":"1","a":"2"}}'
    warnings = ['duplicate field "metadata.name"', 'unknown field "x"', 'duplicate field "data.a"']
    assert decoded(body) == (config_map(data={"a": "2"}), warnings)
    assert decoded(body, strictness="Ignore") == (config_map(data={"a": "2"}), [])
    assert refusal(body, strictness="Strict").message == cannot(
        "ConfigMap", "strict decoding error: " + ", ".join(warnings)
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"data":{"a":"1","a":"2"}}',
        '{"data":{"a" :"1", "a" : "2"}}',
        '{\n  "data": {\n    "a":\t"1",\n    "a"\n:"2"\n  }\n}',
        '{"data":{"a":"\\u0022:","a":"2"}}',
        '{"data":{"a":"x","\\u0061":"2"}}',
        '{"data":{"a":{"b":1},"a":"2"}}',
    ],
)
def test_no_duplicate_hides_behind_spaces_and_escapes(text: str) -> None:
    if '{"b"' in text:  # the first of the two is read as well
        assert "cannot unmarshal object" in refusal(text.encode()).message
        return
    assert decoded(text.encode())[1] == ['duplicate field "data.a"']


_TEXTS = st.text(st.sampled_from('ab":\\ \n\té☃'), max_size=6)


@given(st.dictionaries(_TEXTS, _TEXTS, max_size=5), st.sampled_from([None, 1]), st.booleans())
def test_a_body_without_duplicates_is_never_accused(data: dict[str, str], indent: int | None, ascii_only: bool) -> None:
    body = json.dumps(config_map(data=data), indent=indent, ensure_ascii=ascii_only).encode()
    manifest, warnings = decoded(body)
    assert warnings == []
    assert manifest.get("data", {}) == data


def test_yaml_bodies_a45() -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  1: b\n  c: 'no'\n---\nkind: Other\n"
    assert decode.decode_body(CONFIG_MAPS, text, YAML) == (config_map(data={"1": "b", "c": "no"}), [])


def test_yaml_booleans_are_those_of_1_1_a215() -> None:
    error = refusal(b"data: {a: y}", content_type=YAML)
    assert error.message == cannot(
        "ConfigMap", "json: cannot unmarshal bool into Go struct field ConfigMap.data of type string"
    )


def test_yaml_times_and_clock_like_values_stay_texts() -> None:
    text = b"data: {a: 2001-01-01, b: 12:30, c: 2001-12-14t21:59:43.10-05:00}"
    manifest, _ = decode.decode_body(CONFIG_MAPS, text, YAML)
    assert manifest["data"] == {"a": "2001-01-01", "b": "12:30", "c": "2001-12-14t21:59:43.10-05:00"}


def test_yaml_anchors_and_merges() -> None:
    text = b"metadata: {name: a, labels: &l {x: v, z: w}}\ndata:\n  <<: *l\n  x: other\n"
    manifest, _ = decode.decode_body(CONFIG_MAPS, text, YAML)
    assert manifest["data"] == {"x": "other", "z": "w"}


def test_repeated_keys_in_yaml_a74() -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ncolour: red\ndata:\n  a: b\n  a: c\n"
    repeated = 'line 7: key "a" already set in map'
    assert decode.decode_body(CONFIG_MAPS, text, YAML) == (
        config_map(data={"a": "c"}),
        [repeated, 'unknown field "colour"'],
    )
    error = refusal(text, strictness="Strict", content_type=YAML)
    assert error.message == cannot(
        "ConfigMap", f'strict decoding error: yaml: unmarshal errors:\n  {repeated}, unknown field "colour"'
    )


def test_broken_yaml_a62() -> None:
    error = refusal(b"a: [b", content_type=YAML)
    assert error.message == UNRECOGNIZED + "yaml: line 1: did not find expected ',' or ']' (613a205b62)"


def test_nulls_count_as_absent_a6() -> None:
    document = {"metadata": {"name": "a", "labels": None, "creationTimestamp": None}, "data": None, "immutable": None}
    assert decoded(document) == (config_map(), [])
    assert decoded({"data": {"a": None}})[0]["data"] == {"a": ""}
    assert decoded(b"null") == ({"kind": "ConfigMap", "apiVersion": "v1"}, [])


def test_plain_zeros_disappear_and_pointers_to_zero_stay_a6() -> None:
    pod = {
        "metadata": {"name": "a", "namespace": "", "labels": {}},
        "spec": {
            "containers": [{"name": "a", "args": [], "stdin": False, "securityContext": {"runAsUser": 0}}],
            "hostNetwork": False,
            "nodeSelector": {},
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
    }
    manifest, warnings = decoded(pod, PODS)
    assert warnings == []
    assert manifest["metadata"] == {"name": "a"}
    assert manifest["spec"] == {
        "containers": [{"name": "a", "securityContext": {"runAsUser": 0}}],
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "volumes": [{"name": "v", "emptyDir": {}}],
    }


@pytest.mark.parametrize(
    ("resource", "document", "path", "found"),
    [
        (STATEFUL_SETS, {"spec": {"selector": {"matchExpressions": [{}]}}}, "spec.selector.matchExpressions.0",
         {"key": "", "operator": ""}),
        (CONFIG_MAPS, {"metadata": {"ownerReferences": [{"uid": "u"}]}}, "metadata.ownerReferences.0",
         {"apiVersion": "", "kind": "", "name": "", "uid": "u"}),
        (PODS, {"spec": {"volumes": [{"name": "v", "glusterfs": {}}]}}, "spec.volumes.0.glusterfs",
         {"endpoints": "", "path": ""}),
        (PODS, {"spec": {"containers": [{"name": "c", "ports": [{"name": "p"}]}]}}, "spec.containers.0.ports.0",
         {"name": "p", "containerPort": 0}),
    ],
)  # fmt: skip
def test_what_go_always_writes_is_there_as_its_zero_a6(resource, document, path, found) -> None:
    manifest, _ = decoded(document, resource)
    for step in path.split("."):
        manifest = manifest[int(step) if step.isdigit() else step]
    assert manifest == found


def test_quantities_and_times_come_back_canonical_a4_a5() -> None:
    claim = Resource(group="", version="v1", kind="PersistentVolumeClaim", plural="persistentvolumeclaims")
    document = {
        "metadata": {"creationTimestamp": "2026-01-02T05:04:05.9+02:00"},
        "spec": {"resources": {"requests": {"storage": "1024Mi", "x": 0.5, "y": "0.0001"}}},
    }
    manifest, _ = decoded(document, claim)
    assert manifest["metadata"]["creationTimestamp"] == "2026-01-02T03:04:05Z"
    assert manifest["spec"]["resources"]["requests"] == {"storage": "1Gi", "x": "500m", "y": "1m"}
    assert type(manifest["spec"]["resources"]["requests"]["storage"]) is str
    lease, _ = decoded({"spec": {"renewTime": "2026-01-02T03:04:05.1Z"}}, LEASES)
    assert lease["spec"]["renewTime"] == "2026-01-02T03:04:05.100000Z"


def test_int_or_string_stays_what_it_was_a300() -> None:
    service = Resource(group="", version="v1", kind="Service", plural="services")
    ports = [{"port": 80, "targetPort": "80"}, {"port": 81, "targetPort": 81}, {"port": 82, "targetPort": "web"}]
    assert decoded({"spec": {"ports": ports}}, service)[0]["spec"]["ports"] == ports


def test_free_form_parts_are_kept_as_they_are() -> None:
    revisions = Resource(group="apps", version="v1", kind="ControllerRevision", plural="controllerrevisions")
    data = {"spec": {"x": None, "y": [{"z": 0}]}, "e": ""}
    assert decoded({"data": data, "revision": 1}, revisions)[0]["data"] == data


def test_the_result_is_private() -> None:
    document = {"metadata": {"name": "a", "labels": {"x": "y"}}}
    manifest, _ = decode.prune_and_check(CONFIG_MAPS, document)
    manifest["metadata"]["labels"]["x"] = "z"
    assert document["metadata"]["labels"] == {"x": "y"}


@pytest.mark.parametrize("strategic", [False, True])
def test_a_patch_that_leads_to_unknown_fields_a75(strategic: bool) -> None:
    manifest = config_map(colour="red")
    patch = {"colour": "red", "x": {"y": [1, None, True]}} if strategic else None
    assert decode.prune_and_check(CONFIG_MAPS, manifest) == (config_map(), ['unknown field "colour"'])
    with pytest.raises(Invalid) as raised:
        decode.prune_and_check(CONFIG_MAPS, manifest, field_validation="Strict", strategic_patch=patch)
    shown = (
        '"map[colour:red x:map[y:[1 <nil> true]]]"'
        if strategic
        else json.dumps(msgspec.json.encode(dict(sorted(manifest.items()))).decode())
    )
    assert raised.value.message == (
        f' "" is invalid: patch: Invalid value: {shown}: strict decoding error: unknown field "colour"'
    )
    assert [cause.field for cause in raised.value.causes] == ["patch"]


def test_a_strategic_patch_that_leads_to_a_wrong_type_a126() -> None:
    with pytest.raises(Invalid) as raised:
        decode.prune_and_check(
            DEPLOYMENTS, {"spec": {"replicas": "many"}}, strategic_patch={"spec": {"replicas": "many"}}
        )
    assert raised.value.message == (
        ' "" is invalid: patch: Invalid value: "map[spec:map[replicas:many]]": unrecognized type: int32'
    )


@pytest.mark.parametrize("api_version", ["v1", "apps/v1", "meta.k8s.io/v1", None])
def test_delete_options_of_any_group_a82(api_version: str | None) -> None:
    body = json.dumps({"apiVersion": api_version, "kind": "DeleteOptions", "gracePeriodSeconds": 0}).encode()
    assert decode.decode_options(body, JSON)["gracePeriodSeconds"] == 0


def test_delete_options_may_be_left_out_or_be_wrong() -> None:
    assert decode.decode_options(b"", "") == {}
    with pytest.raises(BadRequest) as raised:
        decode.decode_options(b'{"apiVersion":"v1","kind":"Pod"}', JSON)
    assert raised.value.message == (
        'no kind "Pod" is registered for version "v1" in scheme '
        '"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"'
    )
    with pytest.raises(UnsupportedMediaType):
        decode.decode_options(b"x", "text/plain")


def test_kinds_that_are_no_resource() -> None:
    body = b'{"spec":{"replicas":3}}'
    scale, _ = decode.decode_kind("autoscaling", "v1", "Scale", body, JSON)
    assert scale == {"kind": "Scale", "apiVersion": "autoscaling/v1", "spec": {"replicas": 3}}
    for group, kind in (
        ("policy", "Eviction"),
        ("authentication.k8s.io", "TokenRequest"),
        ("", "Binding"),
        ("", "Status"),
    ):
        assert decode.decode_kind(group, "v1", kind, b"{}", JSON)[0]["kind"] == kind


@pytest.mark.parametrize("depth", [100, 900, 5000, 200_000])
def test_deep_bodies_are_refused_not_fatal(depth: int) -> None:
    with pytest.raises(BadRequest):
        decode.decode_body(CONFIG_MAPS, b'{"data":' + b'{"a":' * depth, JSON)
    with pytest.raises(BadRequest):
        decode.decode_body(CONFIG_MAPS, b'{"data":' + b"[" * depth + b"]" * depth + b"}", JSON)
    with pytest.raises(BadRequest):
        decode.decode_body(CONFIG_MAPS, b'{"data":' + b'{"a":' * depth + b'1,"b":2,"b":3' + b"}" * depth + b"}", JSON)
    with pytest.raises(BadRequest):
        decode.decode_body(CONFIG_MAPS, b"data: " + b"[" * depth + b"]" * depth, YAML)


def test_aliases_do_not_multiply_without_end() -> None:
    lines = ["a: &a0 [x, x]"] + [f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "excessive aliasing" in refusal("\n".join(lines).encode(), content_type=YAML).message
    assert "recursive" in refusal(b"a: &a [*a]", content_type=YAML).message


def test_of_what_may_be_a_schema_or_names_in_a_map_anything_else_is_none() -> None:
    """A number where CustomResourceDefinitions take a schema or names: upstream keeps the key alone."""
    schema = {"dependencies": {"a": 80, "b": ["c"], "d": None, "e": {"type": "object"}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    body = {"spec": {"group": "a.b", "scope": "Cluster", "names": {"plural": "a", "kind": "A"}, "versions": [version]}}
    manifest, _ = decoded(body, CUSTOM_RESOURCE_DEFINITIONS)
    found = manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["dependencies"]
    assert found == {"a": None, "b": ["c"], "d": None, "e": {"type": "object"}}
