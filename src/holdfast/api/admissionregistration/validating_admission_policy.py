"""ValidatingAdmissionPolicies: expressions that requests are held against (A249)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from holdfast.api import names
from holdfast.api.errors import FieldError, invalid, not_supported, required
from holdfast.api.field_rules import unique
from holdfast.api.resource import STATUS, Manifest, Resource

from .expressions import in_validating_policy, unevaluated, validate_expression
from .matching import GROUP
from .policies import default_policy, policy_cells, policy_columns, validate_policy

_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
_MOST_ANNOTATIONS = 20
_LONGEST_VALUE = 5 * 1024


def default(policy: Manifest) -> None:
    default_policy(policy)
    policy.setdefault("status", {})


def validate(policy: Manifest) -> list[FieldError]:
    spec = policy["spec"]
    validations, annotations = spec.get("validations") or [], spec.get("auditAnnotations") or []
    errors = [*validate_policy(spec)]
    if not validations and not annotations:
        refusal = "validations or auditAnnotations must be specified"
        return [*errors, *(required(f"spec.{field}", refusal) for field in ("validations", "auditAnnotations"))]
    for i, validation in enumerate(validations):
        errors += _validation(f"spec.validations[{i}]", validation)
    if len(annotations) > _MOST_ANNOTATIONS:
        refusal = f"must not have more than {_MOST_ANNOTATIONS} auditAnnotations"
        errors.append(invalid("spec.auditAnnotations", len(annotations), refusal))
    seen: set[str] = set()
    for i, annotation in enumerate(annotations):
        field = f"spec.auditAnnotations[{i}]"
        errors += _annotation(field, annotation, policy["metadata"].get("name", ""))
        errors += unique(f"{field}.key", annotation.get("key", ""), seen)
    return errors


def _validation(field: str, validation: Manifest) -> Iterator[FieldError]:
    message, expression = validation.get("message", ""), validation.get("messageExpression", "")
    if not validation.get("expression", "").strip():
        yield required(f"{field}.expression", "expression is not specified")
    for member in ("expression", "messageExpression"):
        yield from validate_expression(f"{field}.{member}", validation.get(member, ""))
    if expression and not expression.strip():
        yield invalid(f"{field}.messageExpression", expression, "must be non-empty if specified")
    if message and not message.strip():
        yield invalid(f"{field}.message", message, "message must be non-empty if specified")
    elif "\n" in message.strip():
        yield invalid(f"{field}.message", message, "message must not contain line breaks")
    reason = validation.get("reason")
    if reason is not None and reason not in _REASONS:
        yield not_supported(f"{field}.reason", reason, _REASONS)


def _annotation(field: str, annotation: Manifest, policy: str) -> Iterator[FieldError]:
    key, value = annotation.get("key", ""), annotation.get("valueExpression", "").strip()
    if error := names.qualified_name(f"{policy}/{key}" if policy else key):
        yield invalid(f"{field}.key", key, error)
    if not value:
        yield required(f"{field}.valueExpression", "valueExpression is not specified")
    elif len(value.encode()) > _LONGEST_VALUE:
        yield required(f"{field}.valueExpression", f"must not exceed {_LONGEST_VALUE} bytes in length")
    else:
        yield from validate_expression(f"{field}.valueExpression", value)


VALIDATING_ADMISSION_POLICIES = Resource(
    group=GROUP,
    version="v1",
    kind="ValidatingAdmissionPolicy",
    plural="validatingadmissionpolicies",
    namespaced=False,
    categories=("api-extensions",),
    subresources=(STATUS,),
    default=default,
    validate=validate,
    create_warnings=lambda policy: unevaluated(in_validating_policy(policy)),
    columns=policy_columns(
        "Validations", "Validations indicates the number of validation rules defined in this configuration"
    ),
    cells=partial(policy_cells, decisions="validations"),
    initial_status={},
    has_generation=True,
    allows_unconditional_update=False,
)
