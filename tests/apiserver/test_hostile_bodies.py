"""Bodies and patches that no honest client sends: a Status each, soon, and never an InternalError (A51)."""

from __future__ import annotations

import gzip
import struct
from typing import Any

import pytest

MAPS = "/api/v1/namespaces/ns/configmaps"
PODS = "/api/v1/namespaces/ns/pods"
REVISIONS = "/apis/apps/v1/namespaces/ns/controllerrevisions"
CLAIMS = "/api/v1/namespaces/ns/persistentvolumeclaims"

YAML = {"content-type": "application/yaml"}
JSON_PATCH = {"content-type": "application/json-patch+json"}
MERGE = {"content-type": "application/merge-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
PROTOBUF = {"content-type": "application/vnd.kubernetes.protobuf"}


def a_map(text: str) -> bytes:
    return b'{"metadata":{"name":"a"},"data":{"a":%b}}' % text.encode("utf-8", "surrogatepass")


DEEP = 100_000
BODIES = {
    "brackets": b"[" * DEEP,
    "braces": b'{"a":' * DEEP,
    "a closed nest": b'{"data":' * 5000 + b"1" + b"}" * 5000,
    "a nest as deep as Python goes": b'{"data":' * 900 + b"1" + b"}" * 900,
    "a nest of lists": b'{"data":' + b"[" * 3000 + b"]" * 3000 + b"}",
    "NaN": a_map("NaN"),
    "Infinity": a_map("-Infinity"),
    "a huge exponent": a_map("1e400"),
    "a huge integer": a_map("9" * 6000),
    "a huge fraction": a_map("0." + "9" * 100_000),
    "a lone surrogate": a_map('"\\ud800"'),
    "a reversed pair": a_map('"\\udc00\\ud800"'),
    "an encoded surrogate": b'{"metadata":{"name":"a"},"data":{"a":"\xed\xa0\x80"}}',
    "broken UTF-8": b'{"metadata":{"name":"a"},"data":{"a":"\xff\xfe"}}',
    "an overlong slash": b'{"metadata":{"name":"\xc0\xaf"}}',
    "a broken key": b'{"metadata":{"name":"a"},"data":{"\xff":"b"}}',
    "UTF-16": '{"metadata":{"name":"a"}}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + a_map('"b"'),
    "a NUL": a_map('"\\u0000"'),
    "a raw NUL": b'{"metadata":{"name":"a\x00"}}',
    "one key ten thousand times": b'{"metadata":{"name":"a"},"data":{%b"a":"b"}}' % (b'"a":"b",' * 10_000),
    "names twice": b'{"metadata":{"name":"a","name":"b"},"metadata":{"name":"c"}}',
    "keys that differ by escapes": b'{"metadata":{"name":"a"},"data":{"a":"1","\\u0061":"2","b\\u003a":"3"}}',
    "two documents": a_map('"b"') * 2,
    "a list": b"[]",
    "a number": b"1",
    "a string": b'"ConfigMap"',
    "null": b"null",
    "nothing": b"",
    "blanks": b" " * 1000,
    "gzip": gzip.compress(a_map('"b"')),
    "kind as a list": b'{"kind":["ConfigMap"]}',
    "metadata as a list": b'{"metadata":[{"name":"a"}]}',
    "metadata as null": b'{"metadata":null}',
    "a name as a number": b'{"metadata":{"name":1}}',
    "a version with slashes": b'{"apiVersion":"a/b/c/d","kind":"ConfigMap"}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("strictness", ["", "?fieldValidation=Strict", "?fieldValidation=Ignore"])
async def test_a_broken_body_is_refused_or_cleaned(ask: Any, body: bytes, strictness: str) -> None:
    for target in (MAPS, PODS, REVISIONS):
        await ask("POST", target + strictness, body)
    await ask("PUT", f"{MAPS}/a{strictness}", body)
    await ask("DELETE", f"{MAPS}/a", body)
    await ask("DELETE", MAPS, body)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("kind", [JSON_PATCH, MERGE, STRATEGIC, APPLY], ids=["json", "merge", "strategic", "apply"])
async def test_a_broken_patch_is_refused_or_cleaned(ask: Any, body: bytes, kind: dict[str, str]) -> None:
    await ask("POST", MAPS, {"metadata": {"name": "a"}, "data": {"a": "b"}})
    await ask("POST", REVISIONS, {"metadata": {"name": "a"}, "revision": 1, "data": {"a": {"b": [1]}}})
    for target in (f"{MAPS}/a", f"{REVISIONS}/a", f"{MAPS}/new"):
        await ask("PATCH", f"{target}?fieldManager=m", body, headers=kind)


def an_anchor_bomb(levels: int = 12) -> str:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels)]
    return "\n".join(lines)


def a_merge_bomb(levels: int = 12) -> str:
    lines = ["a0: &a0 {x: y}"]
    lines += [f"a{level}: &a{level} {{<<: [{','.join([f'*a{level - 1}'] * 9)}]}}" for level in range(1, levels)]
    return "\n".join(lines)


def a_merge_chain(levels: int = 600) -> str:
    lines = ["a0: &a0 {x: y}"]
    lines += [f"a{level}: &a{level} {{<<: *a{level - 1}}}" for level in range(1, levels)]
    return "\n".join(lines)


DOCUMENTS = {
    "aliases that multiply": an_anchor_bomb(),
    "merge keys that multiply": a_merge_bomb(),
    "a chain of merge keys": a_merge_chain(),
    "a merge key of itself": "a: &a\n  <<: *a\n",
    "a merge key of its list": "a: &a\n  <<: [*a, *a]\n",
    "a merge key of a scalar": "data:\n  <<: 1\n",
    "a merge key of a list of scalars": "data:\n  <<: [1, x]\n",
    "a list in itself": "data: &a [*a]",
    "a map in itself": "data: &a {b: *a}",
    "a map as a key": "data: {? {a: b} : c}",
    "a list as a key": "data: {? [a, b] : c}",
    "an alias as a key": "a: &a [1]\ndata: {? *a : c}",
    "an unknown alias": "data: *nowhere",
    "an anchor twice": "a: &a 1\nb: &a 2\ndata: {a: *a}",
    "a tag of Python": "data: !!python/object/apply:os.system ['true']",
    "a tag of Python's names": "data: !!python/name:os.system",
    "an unknown tag": "data: !secret x",
    "a tag with a scheme": "data: !<tag:example.com,2026:x> y",
    "a boolean that is none": "data: {a: !!bool maybe}",
    "an integer that is none": "data: {a: !!int wonders}",
    "an empty integer": 'data: {a: !!int ""}',
    "a float that is none": "data: {a: !!float x}",
    "an empty float": 'data: {a: !!float ""}',
    "a timestamp that is none": "data: {a: !!timestamp x}",
    "a timestamp": "data: {a: 2026-01-02, b: 2026-01-02T03:04:05Z, c: !!timestamp 2026-01-02}",
    "a timestamp out of range": "data: {a: !!timestamp 2026-99-99}",
    "base64": "data: {a: !!binary aGk=}",
    "base64 that is none": "data: {a: !!binary '===='}",
    "base64 of letters that are none": "data: {a: !!binary ä}",
    "a set": "data: !!set {a, b}",
    "an ordered map": "data: !!omap [a: b]",
    "an ordered map that is none": "data: !!omap {a: b}",
    "pairs": "data: !!pairs [a: b, a: c]",
    "pairs that are none": "data: !!pairs x",
    "a map tagged as a list": "data: !!seq {a: b}",
    "a list tagged as a map": "data: !!map [a]",
    "a text tagged as a map": "data: !!map a",
    "a list tagged as a text": "data: !!str [a]",
    "a null with content": "data: !!null [a]",
    "no number": "data: {a: .nan, b: .inf, c: -.INF}",
    "a huge float": "data: {a: 1e999}",
    "a huge integer": f"data: {{a: {'9' * 6000}}}",
    "a huge octal": f"data: {{a: 0{'7' * 6000}}}",
    "underscores": "data: {a: 0x_, b: 0b_, c: 0o_, d: 1__, e: ._}",
    "an invalid octal": "data: {a: 089}",
    "an escaped surrogate": 'data: {a: "\\ud800"}',
    "an escape beyond Unicode": 'data: {a: "\\UFFFFFFFF"}',
    "a wrong escape": 'data: {a: "\\q"}',
    "a control character": "data: {a: \x01}",
    "tabs": "data:\n\ta: b",
    "a directive": "%YAML 9.9\n---\ndata: {}",
    "a directive that is none": "%TAG ! !\n---\nx",
    "two documents": "data: {}\n---\ndata: {}",
    "a broken second document": "data: {}\n---\n[",
    "only comments": "# nothing\n",
    "only marks": "---\n...\n---\n",
    "an open bracket": "[",
    "dashes": "- " * 240 + "a",
    "dashes without end": "- " * 100_000,
    "questions": "? " * 100_000,
    "flow lists": "[" * 100_000,
    "flow maps": "{a: " * 100_000,
    "indentation": "\n".join(" " * depth + "a:" for depth in range(1500)),
    "one key many times": "data:\n" + "  a: b\n" * 20_000,
    "a long key": f"data: {{{'k' * 100_000}: v}}",
    "numbers as keys": "data: {1: a, 1.5: b, true: c, null: d, ~: e, 0x10: f}",
}


@pytest.mark.parametrize("text", DOCUMENTS.values(), ids=DOCUMENTS)
async def test_a_yaml_trick_is_refused_or_harmless(ask: Any, text: str) -> None:
    body = text.encode()
    await ask("POST", MAPS, b"metadata: {name: a}\n" + body, headers=YAML)
    await ask("POST", REVISIONS, b"metadata: {name: a}\nrevision: 1\n" + body, headers=YAML)
    await ask("DELETE", f"{MAPS}/a", body, headers=YAML)
    head = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n"
    await ask("PATCH", f"{MAPS}/b?fieldManager=m", head + body, headers=APPLY)
    await ask("GET", f"{REVISIONS}/a", headers={"accept": "application/yaml"})


# -- protobuf


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def message(api_version: str, kind: str, raw: bytes) -> bytes:
    meta = field(1, api_version.encode()) + field(2, kind.encode())
    return b"k8s\x00" + field(1, meta) + field(2, raw)


A_MAP = bytes.fromhex(
    "6b3873000a0f0a0276311209436f6e6669674d6170121d0a130a036c697412001a0022002a0032003800420012060a01611201621a002200"
)
MESSAGES = {
    "only the magic": b"k8s\x00",
    "another magic": b"k9s\x00" + A_MAP[4:],
    "overlong varints": b"k8s\x00" + b"\x8a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00" + b"\x00",
    "a varint without end": b"k8s\x00" + b"\xff" * 1000,
    "field zero": b"k8s\x00\x02\x00",
    "a group": b"k8s\x00\x0b\x0c",
    "a wire type that is none": b"k8s\x00\x0f",
    "a length beyond the end": b"k8s\x00\x12\xff\xff\xff\xff\x07",
    "a length of 64 bits": b"k8s\x00\x12" + b"\xff" * 9 + b"\x01",
    "a number for a text": b"k8s\x00" + field(1, field(1, 7)),
    "a number for a message": b"k8s\x00" + field(2, 7),
    "a text that is none": message("v1", "ConfigMap", field(2, field(1, b"\xff") + field(2, b"b"))),
    "metadata as a number": message("v1", "ConfigMap", field(1, 1)),
    "a map entry as a number": message("v1", "ConfigMap", field(2, 1)),
    "an empty map entry": message("v1", "ConfigMap", field(2, b"")),
    "a fixed number for a text": message("v1", "ConfigMap", b"\x0d1234"),
    "a million empty entries": message("v1", "ConfigMap", field(2, b"") * 100_000),
    "time beyond the years": message("v1", "ConfigMap", field(1, field(1, b"p") + field(8, field(1, 1 << 62)))),
    "time before the years": message(
        "v1", "ConfigMap", field(1, field(1, b"p") + field(8, field(1, (1 << 64) - (1 << 40))))
    ),
    "time in the year one": message(
        "v1", "ConfigMap", field(1, field(1, b"p") + field(8, field(1, (1 << 64) - 62135596800)))
    ),
    "nanoseconds without end": message("v1", "ConfigMap", field(1, field(1, b"p") + field(8, field(2, (1 << 63) - 1)))),
    "fields that are no JSON": message(
        "v1", "ConfigMap", field(1, field(1, b"p") + field(17, field(1, b"m") + field(7, field(1, b"{"))))
    ),
    "fields that are deep": message(
        "v1", "ConfigMap", field(1, field(1, b"p") + field(17, field(1, b"m") + field(7, field(1, b'{"a":' * 50_000))))
    ),
    "fields that are no text": message(
        "v1", "ConfigMap", field(1, field(1, b"p") + field(17, field(1, b"m") + field(7, field(1, b'"\xff"'))))
    ),
    "another kind": message("v1", "Secret", field(1, b"")),
    "a kind nobody knows": message("v1", "Wonder", field(1, b"")),
    "a version nobody knows": message("v9/x/y", "ConfigMap", b""),
}


@pytest.mark.parametrize("body", MESSAGES.values(), ids=MESSAGES)
async def test_a_broken_message_is_refused_or_cleaned(ask: Any, body: bytes) -> None:
    await ask("POST", MAPS, body, headers=PROTOBUF)
    await ask("PUT", f"{MAPS}/lit", body, headers=PROTOBUF)
    await ask("DELETE", f"{MAPS}/lit", body, headers=PROTOBUF)


async def test_a_message_may_end_anywhere_and_any_byte_may_be_wrong(ask: Any) -> None:
    for at in range(len(A_MAP)):
        await ask("POST", MAPS, A_MAP[:at], headers=PROTOBUF)
        for byte in (0x00, 0x7F, 0x80, 0xFF, A_MAP[at] ^ 1, A_MAP[at] ^ 4):
            await ask("POST", MAPS, A_MAP[:at] + bytes([byte]) + A_MAP[at + 1 :], headers=PROTOBUF)


async def test_numbers_of_a_message_may_have_any_wire_type(ask: Any) -> None:
    """Every field of a pod's spec, a revision and a lease, as a number, as text and as a fixed number."""
    strange = (
        lambda n: field(n, 5),
        lambda n: field(n, b"\x01\x02"),
        lambda n: varint(n << 3 | 1) + struct.pack("<d", 1),
        lambda n: varint(n << 3 | 5) + b"1234",
        lambda n: field(n, (1 << 64) - 1),
    )
    name = field(1, field(1, b"p"))
    for number in range(1, 45):
        for make in strange:
            wrong = make(number)
            await ask("POST", PODS, message("v1", "Pod", name + field(2, wrong)), headers=PROTOBUF)
            await ask("POST", PODS, message("v1", "Pod", name + field(2, field(2, wrong))), headers=PROTOBUF)
            await ask("POST", REVISIONS, message("apps/v1", "ControllerRevision", name + wrong), headers=PROTOBUF)
            lease = message("coordination.k8s.io/v1", "Lease", name + field(2, wrong))
            await ask("POST", "/apis/coordination.k8s.io/v1/namespaces/ns/leases", lease, headers=PROTOBUF)


async def test_warnings_are_bounded_in_number_and_length(ask: Any) -> None:
    """Thousands of header lines are more than clients read."""
    many = {"metadata": {"name": "a"}, **{f"unknown-{number:04}": 1 for number in range(3000)}}
    warnings = (await ask("POST", MAPS, many)).headers["Warning"]
    assert warnings[0] == '299 - "unknown field \\"unknown-0000\\""'
    assert 4096 - 300 < sum(map(len, warnings)) < 8192
    long = {"metadata": {"name": "b"}, "x" * 5000: 1}
    (warning,) = (await ask("POST", MAPS, long)).headers["Warning"]
    assert len(warning) < 300
