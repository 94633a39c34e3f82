"""Metrics as Prometheus reads them: the text format 0.0.4. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sample:
    """One line."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: `kind` is `counter`, `gauge` or `histogram`."""

    name: str
    kind: str
    help: str
    samples: Iterable[Sample] = ()


def written(families: Iterable[Family]) -> str:
    """In the order given; a metric without samples is left out. Labels stand in alphabetical order."""
    return "".join(_family(family) for family in families)


def _family(family: Family) -> str:
    lines = [f"{family.name}{_labels(each.labels)} {_number(each.value)}{_time(each.at)}\n" for each in family.samples]
    if not lines:
        return ""
    help = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {family.name} {help}\n# TYPE {family.name} {family.kind}\n{''.join(lines)}"


def _labels(labels: Mapping[str, str]) -> str:
    pairs = [f'{name}="{_escaped(labels[name])}"' for name in sorted(labels)]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return repr(value) if value != int(value) else str(int(value))


def _time(at: datetime | None) -> str:
    return f" {round(at.timestamp() * 1000)}" if at else ""
