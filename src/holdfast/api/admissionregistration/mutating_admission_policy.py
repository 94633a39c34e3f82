"""MutatingAdmissionPolicies: expressions that change what is to be stored (A249)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from holdfast.api.errors import FieldError, forbidden, not_supported, required
from holdfast.api.field_rules import required_and_supported
from holdfast.api.resource import Manifest, Resource

from .expressions import in_policy, unevaluated, validate_expression
from .matching import GROUP
from .policies import default_policy, policy_cells, policy_columns, validate_policy

_OPERATIONS = ("*", "CONNECT", "CREATE", "UPDATE")
_SOURCES = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}


def validate(policy: Manifest) -> list[FieldError]:
    spec = policy["spec"]
    errors = [*validate_policy(spec, _OPERATIONS)]
    if not spec.get("mutations"):
        errors.append(required("spec.mutations", "mutations must contain at least one item"))
    for i, mutation in enumerate(spec.get("mutations") or ()):
        errors += _mutation(f"spec.mutations[{i}]", mutation)
    policies = ("Never", "IfNeeded")
    return [*errors, *required_and_supported("spec.reinvocationPolicy", spec.get("reinvocationPolicy", ""), policies)]


def _mutation(field: str, mutation: Manifest) -> Iterator[FieldError]:
    from holdfast.api.custom.object_literals import as_maps

    kind = mutation.get("patchType", "")
    if kind not in _SOURCES:
        yield not_supported(f"{field}.patchType", kind, tuple(_SOURCES)) if kind else required(f"{field}.patchType")
        return
    for name, source in _SOURCES.items():
        given = mutation.get(source)
        if name != kind:
            if given is not None:
                yield forbidden(f"{field}.{source}", f"must not be specified when patchType is {kind}")
        elif given is None:
            yield required(f"{field}.{source}", f"must be specified when patchType is {kind}")
        elif not given.get("expression", "").strip():
            yield required(f"{field}.{source}.expression", "expression is not specified")
        else:
            yield from validate_expression(
                f"{field}.{source}.expression", given["expression"], as_maps(given["expression"])
            )


def _expressions(policy: Manifest) -> Iterator[tuple[str, str]]:
    from holdfast.api.custom.object_literals import as_maps

    yield from in_policy(policy)
    for i, mutation in enumerate(policy["spec"].get("mutations") or ()):
        for source in _SOURCES.values():
            if given := mutation.get(source):
                yield f"spec.mutations[{i}].{source}.expression", as_maps(given.get("expression", ""))


MUTATING_ADMISSION_POLICIES = Resource(
    group=GROUP,
    version="v1",
    kind="MutatingAdmissionPolicy",
    plural="mutatingadmissionpolicies",
    namespaced=False,
    categories=("api-extensions",),
    default=default_policy,
    validate=validate,
    create_warnings=lambda policy: unevaluated(_expressions(policy)),
    columns=policy_columns(
        "Mutations", "Mutation indicates the number of mutations rules defined in this configuration"
    ),
    cells=partial(policy_cells, decisions="mutations"),
    has_generation=True,
    allows_unconditional_update=False,
)
