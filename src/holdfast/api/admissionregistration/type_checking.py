"""What is wrong with the expressions of a policy for the kinds that it is about, as `status.typeChecking` tells (A249).

Source: Kubernetes, k8s.io/apiserver/pkg/admission/plugin/policy/validating/typechecking.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from holdfast.api.kinds import Kinds
from holdfast.api.resource import Manifest, Resource
from holdfast.api.schema.types import type_of

if TYPE_CHECKING:
    from holdfast.api.custom.checking import Checker
    from holdfast.api.custom.signatures import Kind

MOST_TYPES = 10

Typed = tuple[Resource, "Kind"]


def warnings(policy: Manifest, kinds: Kinds) -> list[dict[str, str]]:
    """ExpressionWarnings; none where the libraries that find them are not installed."""
    from holdfast.api.custom.checking import is_possible

    if not is_possible():
        return []
    spec = policy["spec"]
    checkers = [(resource, _checker(spec, kind, kinds)) for resource, kind in _types(spec, kinds)]
    return [
        {"fieldRef": field, "warning": "\n".join(found)}
        for field, expression in _expressions(spec)
        if (found := list(_wrong(expression, checkers)))
    ]


def _expressions(spec: Manifest) -> Iterator[tuple[str, str]]:
    for i, validation in enumerate(spec.get("validations") or ()):
        for member in ("expression", "messageExpression"):
            if text := validation.get(member):
                yield f"spec.validations[{i}].{member}", text


def _wrong(expression: str, checkers: Sequence[tuple[Resource, Checker]]) -> Iterator[str]:
    from holdfast.api.custom.checking import Mistyped

    for resource, checker in checkers:
        try:
            checker.result(expression)
        except Mistyped as error:
            yield f"{resource.group}/{resource.version}, Kind={resource.kind}: {error}\n"


# -- types


def _types(spec: Manifest, kinds: Kinds) -> list[Typed]:
    """Those with a schema of what the policy is about, in order; upstream looks no further than at ten of a rule."""
    found = {(one.group, one.version, one.kind): one for one in _resources(spec, kinds)}
    typed = ((resource, _object_type(resource)) for _, resource in sorted(found.items(), key=lambda item: item[0]))
    return [(resource, kind) for resource, kind in typed if kind is not None]


def _resources(spec: Manifest, kinds: Kinds) -> Iterator[Resource]:
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        count = 0
        for group in _named(rule.get("apiGroups")):
            for version in _named(rule.get("apiVersions")):
                for plural in sorted(one for one in rule.get("resources") or () if not set(one) & set("*/")):
                    if (resource := kinds.lookup(group, version, plural)) is not None:
                        yield resource
                        count += 1
                    if count == MOST_TYPES:
                        return


def _named(given: Sequence[str] | None) -> list[str]:
    """None if all are meant."""
    return [] if any("*" in one for one in given or ()) else sorted(given or ())


def _object_type(resource: Resource) -> Kind | None:
    from holdfast.api.custom import object_types

    if resource.custom is not None:
        return object_types.custom(resource.custom.schema, resource.kind)
    found = type_of(resource.group, resource.version, resource.kind)
    try:
        return None if found is None else object_types.built_in(found, resource.kind)
    except object_types.Cyclic:
        return None


def _checker(spec: Manifest, kind: Kind, kinds: Kinds) -> Checker:
    """Knows what the variables come to; one that is wrong may be anything."""
    from holdfast.api.custom.checking import Checker, Mistyped
    from holdfast.api.custom.signatures import Opaque

    known = _variables(spec, kind, kinds)
    variables: dict[str, Kind] = {}
    checker, is_outdated = Checker({**known, "variables": Opaque("kubernetes.variables")}), False
    for variable in spec.get("variables") or ():
        name, text = variable["name"], variable["expression"]
        if is_outdated and "variables" in text:
            checker = Checker({**known, "variables": Opaque("kubernetes.variables", fields=dict(variables))})
        try:
            variables[name] = checker.result(text)
        except Mistyped:
            variables[name] = "dyn"
        is_outdated = True
    return Checker({**known, "variables": Opaque("kubernetes.variables", fields=variables)}) if variables else checker


def _variables(spec: Manifest, kind: Kind, kinds: Kinds) -> dict[str, Kind]:
    from holdfast.api.custom.authorizing import AUTHORIZER

    from .request_types import NAMESPACE, REQUEST

    known = {"object": kind, "oldObject": kind, "request": REQUEST, "namespaceObject": NAMESPACE}
    known["authorizer"] = AUTHORIZER
    if (params := spec.get("paramKind")) is not None:
        known["params"] = _params_type(params, kinds)
    return known


def _params_type(given: Manifest, kinds: Kinds) -> Kind:
    """Anything, if nothing is known of the kind."""
    group, _, version = given.get("apiVersion", "").rpartition("/")
    same = (one for one in kinds.in_group_version(group, version) if one.kind == given.get("kind"))
    resource = next(same, None)
    return (resource and _object_type(resource)) or "dyn"
