"""MutatingAdmissionPolicies: expressions that change objects (A249).

Source: Kubernetes, k8s.io/apiserver/pkg/admission/plugin/policy/mutating.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.api.custom.expressions import Failed
from holdfast.api.custom.object_literals import as_maps
from holdfast.api.errors import ApiError, FieldError
from holdfast.api.resource import Manifest, Resource
from holdfast.apiserver.fields.checking import problems
from holdfast.apiserver.fields.merging import merged
from holdfast.apiserver.fields.nodes import LEAF, LIST_MAP, MAP, STRUCT, Node, tree_of
from holdfast.apiserver.fields.owned import form as owned_as
from holdfast.apiserver.patch.json import json_patch

from . import refusals
from .attempt import Attempt
from .conditions import Unclear, hold
from .forms import Fit, kind_alone, shown
from .mutating import patch, replace
from .policies import Policy, Surroundings, invocations
from .reviewing import kind_in


class Unappliable(Exception):
    """A mutation that came to nothing, in upstream's words."""


def act(policy: Policy, attempt: Attempt, around: Surroundings, fit: Fit) -> bool:
    """Whether the policy is about the attempt, whose object it has replaced. Raises what refuses the request."""
    is_meant = False
    for binding, form, params, problem in invocations(policy, attempt, around):
        is_meant = True
        if not problem:
            assert form is not None
            problem = _mutated(policy, attempt, form, params, around, fit)
        if problem and policy.is_required:
            raise _refusal(policy, binding, attempt, problem)
    return is_meant


def _mutated(
    policy: Policy, attempt: Attempt, form: Resource, params: Manifest | None, around: Surroundings, fit: Fit
) -> str:
    """What went wrong, if anything did: mutations before that stay."""
    scene = around.scene(attempt, form, params)
    scene.variables = policy.variables
    try:
        if not hold(policy.spec.get("matchConditions") or (), scene, must_be_clear=policy.is_required):
            return ""
    except Unclear as unclear:
        return str(unclear)
    for mutation in policy.spec.get("mutations") or ():
        if attempt.object is None:
            break
        scene = around.scene(attempt, form, params)
        scene.variables = policy.variables
        try:
            if mutation["patchType"] == "JSONPatch":
                _patch(attempt, form, scene.evaluate(as_maps(mutation["jsonPatch"]["expression"])), fit)
            else:
                _apply(attempt, form, scene.evaluate(as_maps(mutation["applyConfiguration"]["expression"])), fit)
        except (Failed, Unappliable) as failed:
            return str(failed)
    return ""


def _patch(attempt: Attempt, form: Resource, operations: Any, fit: Fit) -> None:
    if not isinstance(operations, list):
        raise Unappliable("type mismatch: JSONPatchType.expression should evaluate to array")
    before = shown(attempt.resource, form, attempt.object) or {}
    if not _tests_hold(before, operations):
        return
    try:
        patch(attempt, form, operations, fit)
    except ApiError as error:
        raise Unappliable(f"JSONPath: {error.message}") from None


def _tests_hold(before: Manifest, operations: list[Any]) -> bool:
    """A test that fails calls the whole patch off; what else does not apply is told when it is applied."""
    for index, operation in enumerate(operations):
        if isinstance(operation, dict) and operation.get("op") == "test":
            try:
                until = json_patch(before, operations[:index])
            except ApiError:
                return True
            try:
                json_patch(until, [operation])
            except ApiError:
                return False
    return True


def _apply(attempt: Attempt, form: Resource, given: Any, fit: Fit) -> None:
    if not isinstance(given, dict):
        raise Unappliable(f"unsupported return type from ApplyConfiguration expression: {type(given).__name__}")
    group, version, kind = kind_in(attempt, form)
    is_own = (group, version, kind) == (form.group, form.version, form.kind)
    resource = form if is_own else kind_alone(group, version, kind)
    config = {**given, "apiVersion": resource.api_version, "kind": resource.kind}
    root = tree_of(resource).root
    if wrong := problems(root, config):
        raise Unappliable(f"error applying patch: failed to convert patch object to typed object: {wrong}")
    if whole := [*_wholes(root, config, "")]:
        text = "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs"
        raise Unappliable(f"error applying patch: {text}: {', '.join(whole)}")
    before = shown(attempt.resource, form, attempt.object)
    try:
        replace(attempt, form, merged(root, before, config), fit)
    except ApiError as error:
        raise Unappliable(f"error applying patch: {error.message}") from None


def _wholes(node: Node, value: Any, path: str) -> Iterator[str]:
    """Where a configuration would replace something as a whole, and so remove what it does not name."""
    kind = owned_as(node, value)
    if kind == LEAF and isinstance(value, dict | list):
        yield path
    elif kind in (STRUCT, MAP) and isinstance(value, dict):
        for name, entry in value.items():
            yield from _wholes(node.children[name], entry, f"{path}.{name}")
    elif kind == LIST_MAP and isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _wholes(node.children[node.key_of(entry)], entry, f"{path}[{index}]")


def _refusal(policy: Policy, binding: Manifest | None, attempt: Attempt, problem: str) -> ApiError:
    where = f" with binding '{binding['metadata']['name']}'" if binding is not None else ""
    text = f"policy '{policy.name}'{where} denied request: {problem}"
    error = refusals.forbidden(attempt, text, "Invalid", code=403)
    error.message, error.causes = text, [FieldError("", "", text)]
    return error
