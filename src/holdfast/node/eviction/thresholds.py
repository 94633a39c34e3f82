"""When a node is short of something: thresholds, the conditions they stand for, how long those hold (N146). Pure.

Source: Kubernetes, pkg/kubelet/eviction/helpers.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from holdfast.api import quantity

HARD = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
"""The kubelet's defaults."""
TRANSITION_S = 300.0
"""A condition holds for so long after it was last met."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What is watched."""

    resource: str
    """As messages name what runs short."""
    condition: str


SIGNALS = {
    "memory.available": Signal("memory", "MemoryPressure"),
    "nodefs.available": Signal("ephemeral-storage", "DiskPressure"),
    "imagefs.available": Signal("ephemeral-storage", "DiskPressure"),
    "nodefs.inodesFree": Signal("inodes", "DiskPressure"),
    "imagefs.inodesFree": Signal("inodes", "DiskPressure"),
    "pid.available": Signal("pids", "PIDPressure"),
}
"""In the order in which they are dealt with."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Of one signal: bytes, inodes or process ids."""

    available: int
    capacity: int


Readings = Mapping[str, Reading]
"""By signal; what cannot be read is missing."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A signal is met while less is available: so many units, or such a part of what there is."""

    signal: str
    amount: int = 0
    part: Decimal | None = None

    def least(self, capacity: int) -> int:
        return self.amount if self.part is None else int(capacity * self.part)


@dataclass(frozen=True, slots=True)
class Met:
    """A threshold that is met."""

    threshold: Threshold
    reading: Reading

    @property
    def signal(self) -> Signal:
        return SIGNALS[self.threshold.signal]

    def in_words(self) -> str:
        """How low it is, for a message."""
        least = in_binary(self.threshold.least(self.reading.capacity))
        return f"Threshold quantity: {least}, available: {in_binary(self.reading.available)}. "


def read_option(text: str) -> dict[str, str]:
    """As the kubelet's flag is written: `memory.available<100Mi,nodefs.available<10%`. Raises ValueError."""
    given = {}
    for statement in filter(None, text.split(",")):
        signal, sign, value = (part.strip() for part in statement.partition("<"))
        if not (sign and value):
            raise ValueError(f'"{statement}" should read SIGNAL<VALUE, such as memory.available<100Mi')
        given[signal] = value
        try:
            (threshold,) = parse({signal: value}) or (Threshold(signal),)
        except ArithmeticError as error:
            raise ValueError(f"{signal}: {value} is neither a quantity nor a percentage") from error
        if threshold.amount < 0 or not 0 <= (threshold.part or 0) <= 1:
            raise ValueError(f"{signal}: {value} can never be available")
    return given


def parse(given: Mapping[str, str]) -> tuple[Threshold, ...]:
    """From texts such as `100Mi` and `10%`, in the order of `SIGNALS`; none for `0%`. Raises ValueError."""
    if unknown := given.keys() - SIGNALS.keys():
        raise ValueError(f"unknown eviction signal: {', '.join(sorted(unknown))}; known are {', '.join(SIGNALS)}")
    thresholds = []
    for signal in SIGNALS:
        text = given.get(signal, "0%")
        if not text.endswith("%"):
            thresholds.append(Threshold(signal, amount=quantity.whole(text)))
        elif part := Decimal(text.removesuffix("%")) / 100:
            thresholds.append(Threshold(signal, part=part))
    return tuple(thresholds)


def met(thresholds: Iterable[Threshold], readings: Readings) -> list[Met]:
    """In the order in which they are dealt with."""
    found = []
    for threshold in thresholds:
        reading = readings.get(threshold.signal)
        if reading is not None and reading.available < threshold.least(reading.capacity):
            found.append(Met(threshold, reading))
    return found


def last_met(before: Mapping[str, datetime], found: Iterable[Met], now: datetime) -> dict[str, datetime]:
    """When each condition was last met."""
    return {**before, **{one.signal.condition: now for one in found}}


def pressures(last: Mapping[str, datetime], now: datetime) -> frozenset[str]:
    """The conditions that hold."""
    return frozenset(name for name, at in last.items() if (now - at).total_seconds() < TRANSITION_S)


def in_binary(count: int) -> str:
    """As Kubernetes writes amounts of bytes: `80Mi`, `81708Ki`, `1000`."""
    return quantity.canonical(f"{count >> 10}Ki" if count % 1024 == 0 else str(count))
