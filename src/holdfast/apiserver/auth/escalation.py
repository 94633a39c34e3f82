"""Nobody grants what they do not hold: writing roles and bindings takes the permissions in them (A226).

The verbs `escalate` on the role, or `bind` for a binding, say otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.api.errors import NotFound
from holdfast.api.rbac.cluster_role import CLUSTER_ROLES
from holdfast.api.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS
from holdfast.api.rbac.role import ROLES
from holdfast.api.rbac.role_binding import ROLE_BINDINGS
from holdfast.api.resource import Manifest, Resource
from holdfast.apiserver.call import Call

from .authorization import Attributes, Authorizer, covers

WATCHED: Sequence[Resource] = (ROLES, CLUSTER_ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS)


FULL_AUTHORITY: Sequence[Manifest] = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
)
"""What it takes to let a role gather others: it may come to hold anything."""


def check(authorizer: Authorizer, call: Call, new: Manifest, old: Manifest | None) -> None:
    """Raises Forbidden, NotFound for a role that is bound and does not exist."""
    if call.resource not in WATCHED or call.user.is_master:
        return
    is_role = call.resource in (ROLES, CLUSTER_ROLES)
    if old is not None and _granted(new) == _granted(old):
        return
    if is_role:
        rules, verb, name = new.get("rules") or (), "escalate", call.name
        resource = call.resource.plural
    else:
        reference = new.get("roleRef") or {}
        verb, name = "bind", reference.get("name", "")
        resource = "clusterroles" if reference.get("kind") == "ClusterRole" else "roles"
        rules = _bound(authorizer, call, resource, name)
    if authorizer.allows(call.user, Attributes(verb, call.resource.group, resource, "", call.namespace, name)):
        return
    held = list(authorizer.rules(call.user, call.namespace))
    if missing := [text for rule in rules for text in _missing(rule, held)]:
        groups = " ".join(f'"{group}"' for group in call.user.groups)
        listed = "\n".join(sorted(dict.fromkeys(missing)))
        raise call.forbidden(
            f'user "{call.user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n'
            f"{listed}"
        )
    gathers = any((role or {}).get("aggregationRule") for role in (new, old))
    if gathers and any(_missing(rule, held) for rule in FULL_AUTHORITY):
        raise call.forbidden("must have cluster-admin privileges to use the aggregationRule")


def _granted(manifest: Manifest) -> tuple[object, ...]:
    return manifest.get("rules"), manifest.get("aggregationRule"), manifest.get("roleRef"), manifest.get("subjects")


def _bound(authorizer: Authorizer, call: Call, resource: str, name: str) -> Sequence[Manifest]:
    rules = authorizer.rules_of_role(resource, call.namespace, name)
    if rules is None:
        group = call.resource.group
        raise NotFound(f'{resource}.{group} "{name}" not found', name=name, group=group, kind=resource)
    return rules


def _missing(rule: Manifest, held: Sequence[Manifest]) -> list[str]:
    """What of a rule nobody has given the user, a line for each resource."""
    lacking = [
        (shown, [verb for verb in rule.get("verbs") or () if not _has(held, verb, asked)])
        for asked, shown in _parts(rule)
    ]
    return [f"{{{shown}, Verbs:[{_quoted(verbs)}]}}" for shown, verbs in lacking if verbs]


def _parts(rule: Manifest) -> Iterator[tuple[Attributes, str]]:
    for path in rule.get("nonResourceURLs") or ():
        yield Attributes("", path=path), f"NonResourceURLs:[{_quoted([path])}]"
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            plural, _, sub = resource.partition("/")
            shown = f"APIGroups:[{_quoted([group])}], Resources:[{_quoted([resource])}]"
            for name in rule.get("resourceNames") or ("",):
                named = f"{shown}, ResourceNames:[{_quoted([name])}]" if name else shown
                yield Attributes("", group, plural, sub, name=name), named


def _has(held: Sequence[Manifest], verb: str, asked: Attributes) -> bool:
    wanted = Attributes(verb, asked.group, asked.resource, asked.subresource, "", asked.name, asked.path)
    return any(covers(rule, wanted) for rule in held)


def _quoted(values: Sequence[str]) -> str:
    return " ".join(f'"{value}"' for value in values)
