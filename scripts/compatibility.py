"""Writes docs/compatibility.md: per kind and verb what is served, field by field what is acted on.

`python scripts/compatibility.py` writes it, `--check` says in a line each where it is not true any more.
Kinds and verbs come from the registry, fields from the schema. What is only stored or refused is listed in
`docs/compatibility.toml`; of every other field the acting code must at least know the name.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from holdfast import __version__
from holdfast.api import registry
from holdfast.api.registry import MEASURED, RESOURCES
from holdfast.api.resource import Resource
from holdfast.api.schema.definitions import MINOR
from holdfast.api.schema.types import Field, Type, type_of

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "holdfast"
DOCUMENT = ROOT / "docs" / "compatibility.md"
ACTING = ("apiserver", "controllers", "scheduler", "network", "node")
LENT = (
    "api/batch/job_defaults.py",
    "api/core/label_keys.py",
    "api/core/node_affinity.py",
    "api/core/quality_of_service.py",
    "api/core/restarts.py",
    "api/core/service_addresses.py",
    "api/core/taints.py",
    "api/selectors.py",
    "api/storage/mount_options.py",
)
"""Parts of what kinds are that the acting packages decide by."""
FIELD_BY_FIELD = (
    ("", "Pod"),
    ("apps", "StatefulSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("", "Service"),
    ("", "PersistentVolumeClaim"),
    ("", "PersistentVolume"),
)

HEAD = f"""\
# Compatibility

What holdfast {__version__} serves of Kubernetes {MINOR}. Made by `make compatibility` out of the registry of kinds, the
schema and `docs/compatibility.toml`; a test fails when it is not true any more.

Every field of every kind is accepted, validated, defaulted, stored and given back as upstream does, in JSON, YAML and
(in requests) protobuf. What the tables below add is what happens then.
"""


@dataclass(frozen=True)
class Notes:
    """`Type.field` to the reason why nothing acts on it, or to how it is refused; qualified plurals to what is done."""

    stored: dict[str, str]
    refused: dict[str, str]
    kinds: dict[str, str]

    @classmethod
    def read(cls) -> Notes:
        return cls(**tomllib.loads((ROOT / "docs" / "compatibility.toml").read_text()))

    def is_noted(self, name: str) -> bool:
        return name in self.stored or name in self.refused


def structs(notes: Notes) -> Iterator[tuple[str, list[Type]]]:
    """Each kind with the structs that no kind before it has; what is not acted on is not entered."""
    seen: set[str] = set()

    def reach(type: Type) -> Iterator[Type]:
        while type.item is not None:
            type = type.item
        if type.form != "struct" or type.definition_name in seen:
            return
        seen.add(type.definition_name)
        yield type
        for field in type.fields.values():
            if not notes.is_noted(f"{type.name}.{field.name}"):
                yield from reach(field.type)

    for group, kind in FIELD_BY_FIELD:
        top = type_of(group, "v1", kind)
        assert top is not None
        yield kind, list(reach(top))


# Checking


def untrue(notes: Notes) -> list[str]:
    """What the notes or their silence claim wrongly."""
    fields = {f"{type.name}.{name}" for _, types in structs(notes) for type in types for name in type.fields}
    noted = notes.stored.keys() | notes.refused.keys()
    found = [f"{name}: there is no such field, or nothing enters its struct" for name in sorted(noted - fields)]
    found += [f"{name}: noted twice" for name in sorted(notes.stored.keys() & notes.refused.keys())]
    for name in sorted(fields - noted):
        if name.partition(".")[2] not in known_words():
            found.append(f"{name}: nothing acts on it, so docs/compatibility.toml must say so")
    kinds = {resource.qualified: constant for constant, resource in vars(registry).items() if resource in RESOURCES}
    found += [f"{kind}: there is no such kind" for kind in sorted(notes.kinds.keys() - kinds.keys())]
    for kind in sorted(kinds.keys() - notes.kinds.keys()):
        if kinds[kind] not in known_words():
            found.append(f"{kind}: nothing acts on it, so docs/compatibility.toml must say so")
    return found


@cache
def known_words() -> frozenset[str]:
    """Every word of every text in the acting code, and every name it imports."""
    files = [SOURCE / part for part in LENT]
    for package in ACTING:
        files += (SOURCE / package).rglob("*.py")
    words: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.update(node.value.replace(".", " ").replace("/", " ").split())
            elif isinstance(node, ast.ImportFrom):
                words.update(name.name for name in node.names)
    # Probes are looked up by what they are for: `f"{kind}Probe"`.
    if {"liveness", "readiness", "startup", "Probe"} <= words:
        words |= {"livenessProbe", "readinessProbe", "startupProbe"}
    return frozenset(words)


# Writing


def document(notes: Notes) -> str:
    parts = [HEAD, "## Kinds and verbs\n", *kinds_table(notes), "## Field by field\n", LEGEND]
    for kind, types in structs(notes):
        parts.append(f"### {kind}\n")
        for type in types:
            parts += fields_table(type, notes)
    return "\n".join(parts).rstrip() + "\n"


LEGEND = """\
**yes**: acted on, or, below `status`, filled in. **stored**: kept and shown, nothing acts on it. **refused**: what uses
it fails, and says so. A struct is shown where it is first met.
"""


def kinds_table(notes: Notes) -> Iterator[str]:
    by_group: dict[str, list[Resource]] = {}
    for resource in (*RESOURCES, *MEASURED):
        by_group.setdefault(resource.api_version, []).append(resource)
    for api_version, resources in by_group.items():
        yield f"### {api_version}\n"
        yield "| resource | verbs | subresources | beyond being stored |"
        yield "|---|---|---|---|"
        for each in resources:
            below = ", ".join(f"{sub.name} ({' '.join(sub.verbs)})" for sub in each.subresources)
            acted = "measured when read, not stored" if each.is_measured else notes.kinds.get(each.qualified, "yes")
            yield f"| {each.plural} | {' '.join(each.verbs)} | {below} | {acted} |"
        yield ""


def fields_table(type: Type, notes: Notes) -> Iterator[str]:
    yield f"**{type.name}**\n"
    yield "| field | | |"
    yield "|---|---|---|"
    for field in type.fields.values():
        yield f"| {field.name} | {' | '.join(level(type, field, notes))} |"
    yield ""


def level(type: Type, field: Field, notes: Notes) -> tuple[str, str]:
    name = f"{type.name}.{field.name}"
    if name in notes.refused:
        return "refused", notes.refused[name]
    if name in notes.stored:
        return "stored", notes.stored[name]
    return "yes", ""


def main(arguments: list[str]) -> int:
    notes = Notes.read()
    wrong = untrue(notes)
    if not wrong and "--check" not in arguments:
        DOCUMENT.write_text(document(notes))
    elif not wrong and (not DOCUMENT.exists() or DOCUMENT.read_text() != document(notes)):
        wrong = [f"{DOCUMENT.relative_to(ROOT)} is out of date: make compatibility"]
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
