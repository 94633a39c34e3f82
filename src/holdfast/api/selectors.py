"""Label and field selectors (A102-A105): parsed from queries, built from manifests, matched against objects.

Source: Kubernetes, k8s.io/apimachinery/pkg/labels and pkg/fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import names
from .errors import BadRequest, show

Labels = Mapping[str, str]

_TOKENS = re.compile(r"[ \t\r\n]*(?:(?P<symbol>==|!=|[=!(),><])|(?P<word>[^=!(),>< \t\r\n]+)|(?P<end>$))")
_OPERATORS = {"in": "in", "notin": "notin", "=": "=", "==": "==", "!=": "!=", ">": ">", "<": "<"}
_MANIFEST_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
_INTEGER = re.compile("[+-]?[0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label; `operator` is `=`, `==`, `!=`, `in`, `notin`, `exists`, `!`, `>` or `<`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    @property
    def is_exact(self) -> bool:
        """It wants one value and no other."""
        return self.operator in ("=", "==") or (self.operator == "in" and len(self.values) == 1)

    def matches(self, labels: Labels) -> bool:
        """`!=` and `notin` also match where the label is absent."""
        value = labels.get(self.key)
        match self.operator:
            case "=" | "==" | "in":
                return value is not None and value in self.values
            case "!=" | "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
        if value is None or not _INTEGER.fullmatch(value):
            return False
        limit = int(self.values[0])
        return int(value) > limit if self.operator == ">" else int(value) < limit

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"
        return f"{self.key}{self.operator}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All requirements hold. Without any it matches everything, unless it is NOTHING."""

    requirements: tuple[Requirement, ...] = ()
    matches_nothing: bool = False
    _equal: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)
    _others: tuple[Requirement, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        exact = [r for r in self.requirements if r.is_exact]
        object.__setattr__(self, "_equal", tuple((r.key, r.values[0]) for r in exact))
        object.__setattr__(self, "_others", tuple(r for r in self.requirements if not r.is_exact))

    def matches(self, labels: Labels | None) -> bool:
        if self.matches_nothing:
            return False
        present = labels or {}
        for key, value in self._equal:
            if present.get(key) != value:
                return False
        return all(requirement.matches(present) for requirement in self._others)

    @property
    def is_empty(self) -> bool:
        """It lets everything through."""
        return not self.requirements and not self.matches_nothing

    def __str__(self) -> str:
        """The canonical text, sorted by key."""
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(matches_nothing=True)


def selector_from_labels(labels: Labels | None) -> LabelSelector:
    """Equality with each label, as the selectors of services and replication controllers mean it."""
    return LabelSelector(tuple(Requirement(key, "=", (value,)) for key, value in sorted((labels or {}).items())))


def selector_from_manifest(selector: Mapping[str, Any] | None) -> LabelSelector:
    """From `{matchLabels, matchExpressions}`; None matches nothing, an empty one everything (A103).

    It does not validate: an unknown operator matches nothing.
    """
    if selector is None:
        return NOTHING
    requirements = [Requirement(key, "=", (value,)) for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        operator = _MANIFEST_OPERATORS.get(expression.get("operator", ""))
        if operator is None:
            return NOTHING
        requirements.append(Requirement(expression.get("key", ""), operator, tuple(expression.get("values") or ())))
    return _sorted(requirements)


def go_text(selector: Mapping[str, Any] | None) -> str:
    """As Go prints the structure of a manifest's selector, in messages."""
    if selector is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{one['key']},Operator:{one['operator']},"
        f"Values:[{' '.join(one.get('values') or ())}],}},"
        for one in selector.get("matchExpressions") or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )


def parse_label_selector(text: str) -> LabelSelector:
    """From a query. Raises BadRequest with the words of A102."""
    if not text:
        return EVERYTHING
    try:
        return _sorted(_LabelParser(text).requirements())
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _sorted(requirements: Iterable[Requirement]) -> LabelSelector:
    return LabelSelector(tuple(sorted(requirements, key=lambda requirement: requirement.key)))


class _LabelParser:
    """Recursive descent over the tokens of one selector; raises ValueError."""

    def __init__(self, text: str) -> None:
        self._tokens = [match["symbol"] or match["word"] or "" for match in _TOKENS.finditer(text)] + [""]
        self._position = 0

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while token := self._peek():
            if not (_is_word(token) or token == "!"):
                raise ValueError(f"found '{token}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self._requirement())
            except ValueError as error:
                raise ValueError(f"unable to parse requirement: {error}") from None
            if not (separator := self._next()):
                break
            if separator != ",":
                raise ValueError(f"found '{separator}', expected: ',' or 'end of string'")
            if not (_is_word(after := self._peek()) or after == "!"):
                raise ValueError(f"found '{after}', expected: identifier after ','")
        return found

    def _requirement(self) -> Requirement:
        is_absent = self._peek() == "!"
        key = self._next() if not is_absent else (self._next(), self._next())[1]
        if not _is_word(key):
            raise ValueError(f"found '{key}', expected: identifier")
        if error := names.qualified_name(key):
            raise ValueError(f"<nil>: Invalid value: {show(key)}: {error}")
        if is_absent:
            return Requirement(key, "!")
        if self._peek() in ("", ","):
            return Requirement(key, "exists")
        token = self._next()
        operator = _OPERATORS.get(token)
        if operator is None:
            raise ValueError(f"found '{token}', expected: in, notin, =, ==, !=, gt, lt")
        values = self._values() if operator in ("in", "notin") else (self._exact_value(),)
        _check_values(key, operator, values)
        return Requirement(key, operator, values)

    def _values(self) -> tuple[str, ...]:
        if (token := self._next()) != "(":
            raise ValueError(f"found '{token}' expected: '('")
        first = self._peek()
        if not (_is_word(first) or first in (",", ")")):
            raise ValueError(f"found '{first}', expected: ',', ')' or identifier")
        values: set[str] = set()
        while True:
            value = self._next() if _is_word(self._peek()) else ""
            values.add(value)
            token = self._next()
            if token == ")":
                return tuple(sorted(values))
            if token != ",":
                raise ValueError(f"found '{token}', expected: ',' or ')'")

    def _exact_value(self) -> str:
        if self._peek() in ("", ","):
            return ""
        if not _is_word(token := self._next()):
            raise ValueError(f"found '{token}', expected: identifier")
        return token

    def _peek(self) -> str:
        return self._tokens[self._position]

    def _next(self) -> str:
        token = self._tokens[self._position]
        self._position = min(self._position + 1, len(self._tokens) - 1)
        return token


def _is_word(token: str) -> bool:
    return bool(token) and token[0] not in "=!(),><"


def _check_values(key: str, operator: str, values: tuple[str, ...]) -> None:
    if operator in (">", "<") and not _INTEGER.fullmatch(values[0]):
        detail = "for 'Gt', 'Lt' operators, the value must be an integer"
        raise ValueError(f"values[0]: Invalid value: {show(values[0])}: {detail}")
    for number, value in enumerate(values):
        if error := names.label_value(value):
            raise ValueError(f"values[{number}][{key}]: Invalid value: {show(value)}: {error}")


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """One condition on one field; `op` is `=` or `!=`."""

    field: str
    op: str
    value: str

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
        return f"{self.field}{self.op}{escaped}"


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """All requirements hold; which fields exist is the resource's business (A105)."""

    requirements: tuple[FieldRequirement, ...] = ()

    def matches(self, getter: Callable[[str], str]) -> bool:
        """`getter` goes from a field's name to its text, empty where it is not set."""
        return all((getter(r.field) == r.value) == (r.op == "=") for r in self.requirements)

    def exact(self, name: str) -> str | None:
        """The value that the field must have, None where several are possible."""
        return next((r.value for r in self.requirements if r.field == name and r.op == "="), None)

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


def parse_field_selector(text: str) -> FieldSelector:
    """From a query. Raises BadRequest with the words of A104."""
    requirements = []
    for term in re.findall(r"(?:\\.|[^,\\])+|\\$", text):
        match = re.match(r"((?:\\.|[^=!\\]|!(?!=))*)(!=|==|=)(.*)", term, re.DOTALL)
        if match is None:
            raise BadRequest(f"invalid selector: '{text}'; can't understand '{term}'")
        name, operator, value = match.groups()
        requirements.append(FieldRequirement(name, "!=" if operator == "!=" else "=", _unescaped(value)))
    return FieldSelector(tuple(requirements))


def _unescaped(value: str) -> str:
    if match := re.search(r"\\[^,=\\]|(?<!\\)(?:\\\\)*\\$", value):
        raise BadRequest(f"invalid field selector: invalid escape sequence: {match[0]}")
    if match := re.search(r"(?<!\\)(?:\\\\)*=", value):
        raise BadRequest(f"invalid field selector: unescaped character in value: {match[0][-1]}")
    return re.sub(r"\\(.)", r"\1", value)
