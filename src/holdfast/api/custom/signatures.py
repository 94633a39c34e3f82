"""The types of the functions that Kubernetes adds to CEL, as data: one table of them serves two environments (A212).

Where expressions are evaluated, the library takes no values of types of ours: they are maps of one member that says
what they are, and overloads that differ in nothing else are told apart here. Where they are only checked, every type
has its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

NO_OVERLOAD = "no such overload"


@dataclass(frozen=True, eq=False)
class Opaque:
    """A type that CEL does not have."""

    name: str
    """As messages show it."""
    member: str = ""
    """By which its values are told from others, if they are."""
    fields: Mapping[str, Kind] = field(default_factory=dict, repr=False)
    """What an expression may select of it."""


@dataclass(frozen=True, slots=True)
class Made:
    """A type made of others: `list`, `map` (of texts) or `optional`."""

    form: str
    item: Kind


Kind = str | Opaque | Made
"""As text: bool, bytes, double, duration, dyn, int, string, timestamp, uint."""

Act = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Function:
    """One overload."""

    name: str
    result: Kind
    parameters: Sequence[Kind]
    is_member: bool
    """It is called on the first of them."""
    act: Act


def listed(item: Kind) -> Made:
    return Made("list", item)


def member(name: str, result: Kind, parameters: Sequence[Kind], act: Act) -> Function:
    return Function(name, result, parameters, True, act)


def plain(name: str, result: Kind, parameters: Sequence[Kind], act: Act) -> Function:
    return Function(name, result, parameters, False, act)


# -- for the library


def evaluated(functions: Iterable[Function], cel: Any) -> list[Any]:
    """Declarations with what they do; overloads with as many parameters become one."""
    alike: dict[str, dict[tuple[int, bool], list[Function]]] = {}
    for one in functions:
        alike.setdefault(one.name, {}).setdefault((len(one.parameters), one.is_member), []).append(one)
    return [
        cel.FunctionDecl(
            name,
            [
                cel.Overload(f"{name}_{number}_kubernetes", result, list(parameters), is_member, act)
                for number, (result, parameters, is_member, act) in enumerate(_overloads(overloads, cel.Type))
            ],
        )
        for name, overloads in alike.items()
    ]


def _overloads(
    overloads: Mapping[tuple[int, bool], Sequence[Function]], types: Any
) -> Iterator[tuple[Any, Sequence[Any], bool, Act]]:
    for (_, is_member), same in overloads.items():
        result, parameters = _merged(same, types)
        act = _choosing(same)
        for each in product(*(_values(types) if one == types.DYN else (one,) for one in parameters)):
            yield result, each, is_member, act


def _values(types: Any) -> Sequence[Any]:
    """Everything but null, which cannot be named, and optional values, at which the library ends the process."""
    scalars = (types.BOOL, types.BYTES, types.DOUBLE, types.DURATION, types.INT, types.STRING, types.TIMESTAMP)
    return (*scalars, types.UINT, types.LIST, types.MAP)


def _merged(same: Sequence[Function], types: Any) -> tuple[Any, list[Any]]:
    columns = zip(*(one.parameters for one in same), strict=True)
    return _common([one.result for one in same], types), [_common(column, types) for column in columns]


def _common(kinds: Iterable[Kind], types: Any) -> Any:
    loose = [_loose(kind, types) for kind in kinds]
    return loose[0] if all(one == loose[0] for one in loose) else types.DYN


def _loose(kind: Kind, types: Any) -> Any:
    match kind:
        case str():
            return getattr(types, kind.upper())
        case Opaque():
            return types.Map(types.STRING, types.DYN)
        case Made("list"):
            # What is in a list is not known before it is looked at.
            return types.List(types.DYN)
    return types.Map(types.STRING, types.DYN)


def _choosing(same: Sequence[Function]) -> Act:
    def act(*given: Any) -> Any:
        for one in same:
            if all(_fits(kind, value) for kind, value in zip(one.parameters, given, strict=True)):
                return one.act(*given)
        raise ValueError(NO_OVERLOAD)

    return act


def _fits(kind: Kind, value: Any) -> bool:
    match kind:
        case Opaque():
            return isinstance(value, dict) and (not kind.member or kind.member in value)
        case "string":
            return isinstance(value, str)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
    return True
