"""Expressions of webhooks and policies when they are written: what is wrong with them, what cannot be done (A249)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from holdfast.api.errors import FieldError, invalid
from holdfast.api.resource import Manifest

if TYPE_CHECKING:
    from holdfast.api.custom.expressions import Uncompilable

Expressions = Iterable[tuple[str, str]]
"""Field and text of each."""


def validate_expression(field: str, text: str, evaluated: str = "") -> Iterator[FieldError]:
    """What could be evaluated nowhere; an empty one is told elsewhere. `evaluated` is what it becomes, if it does."""
    if text.strip() and (problem := _problem(evaluated or text)) is not None and problem.is_syntax:
        yield invalid(field, text, f"compilation failed: {problem}")


def unevaluated(expressions: Expressions) -> list[str]:
    """Warnings of what may be right and cannot be evaluated here, such as functions that the library has not."""
    problems = ((field, _problem(text)) for field, text in expressions)
    return [
        f"{field}: holdfast cannot evaluate this, so that its failurePolicy decides: {str(problem).splitlines()[0]}"
        for field, problem in problems
        if problem is not None
    ]


def _problem(text: str) -> Uncompilable | None:
    from holdfast.api.custom.expressions import OF_ADMISSION, Uncompilable, compiled

    try:
        compiled(text, OF_ADMISSION)
    except Uncompilable as error:
        return error
    return None


def in_webhooks(configuration: Manifest) -> Expressions:
    for i, webhook in enumerate(configuration.get("webhooks") or ()):
        yield from _in_conditions(f"webhooks[{i}].matchConditions", webhook)


def in_policy(policy: Manifest) -> Expressions:
    """All but what is particular to one kind of policy."""
    spec = policy["spec"]
    yield from _in_conditions("spec.matchConditions", spec)
    for i, variable in enumerate(spec.get("variables") or ()):
        yield f"spec.variables[{i}].expression", variable.get("expression", "")


def in_validating_policy(policy: Manifest) -> Expressions:
    yield from in_policy(policy)
    spec = policy["spec"]
    for i, validation in enumerate(spec.get("validations") or ()):
        for member in ("expression", "messageExpression"):
            if text := validation.get(member):
                yield f"spec.validations[{i}].{member}", text
    for i, annotation in enumerate(spec.get("auditAnnotations") or ()):
        yield f"spec.auditAnnotations[{i}].valueExpression", annotation.get("valueExpression", "")


def _in_conditions(field: str, holder: Manifest) -> Expressions:
    for i, condition in enumerate(holder.get("matchConditions") or ()):
        yield f"{field}[{i}].expression", condition.get("expression", "")
