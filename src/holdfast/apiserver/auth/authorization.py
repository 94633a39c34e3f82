"""Whether a user may do what a request asks: RBAC over the stored roles and bindings (A223-A225, A231)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.api.errors import Forbidden
from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import ResourceCache

from .joined_rights import Objects, joined_may
from .node_rights import node_may
from .user import UNAUTHENTICATED, User

PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version")
DISCOVERY_PATHS = ("/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz")


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is asked for: `resource` may carry a subresource; `path` is set where it is no resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Authorizer:
    """Denies what no rule allows. Answers are remembered until a role or a binding changes."""

    def __init__(
        self,
        roles: ResourceCache,
        role_bindings: ResourceCache,
        cluster_roles: ResourceCache,
        cluster_role_bindings: ResourceCache,
        objects: Objects,
        first_machine: Collection[str] | None = None,
    ) -> None:
        """`first_machine` are the nodes whose agents are on the server's own machine; None is all of them.

        What agents on other machines may do depends on `objects`.
        """
        self._roles = roles
        self._role_bindings = role_bindings
        self._cluster_roles = cluster_roles
        self._cluster_role_bindings = cluster_role_bindings
        self._objects = objects
        self._first_machine = first_machine
        self._answers: dict[tuple[User, Attributes], bool] = {}
        for cache in (roles, role_bindings, cluster_roles, cluster_role_bindings):
            cache.follow(lambda event: self._answers.clear())

    def allows(self, user: User, asked: Attributes) -> bool:
        if user.is_master or self._is_of_node(user, asked):
            return True
        key = (user, asked)
        if (answer := self._answers.get(key)) is None:
            if len(self._answers) > 10_000:
                self._answers.clear()
            answer = self._answers[key] = _is_open(user, asked) or any(
                covers(rule, asked) for rule in self.rules(user, asked.namespace)
            )
        return answer

    def _is_of_node(self, user: User, asked: Attributes) -> bool:
        """Whether it is what an agent may do. Not remembered: it may depend on the object."""
        node = user.node_name
        if not node or asked.path:
            return False
        if self._first_machine is None or node in self._first_machine:
            return node_may(node, asked)
        return joined_may(node, asked, self._objects)

    def check(self, user: User, asked: Attributes) -> None:
        """Raises Forbidden, worded as A58."""
        if not self.allows(user, asked):
            raise refusal(user, asked)

    def reason(self, user: User, asked: Attributes) -> str:
        """Which binding allows it, as reviews tell (A229); empty where none does, or none is needed."""
        if user.is_master:
            return ""
        for binding, subject, rules in self._grants(user, asked.namespace):
            if any(covers(rule, asked) for rule in rules):
                return f"RBAC: allowed by {_described(binding, subject)}"
        return ""

    def rules(self, user: User, namespace: str) -> Iterator[Manifest]:
        """Every rule that applies to the user, cluster-wide and in the namespace."""
        for _, _, rules in self._grants(user, namespace):
            yield from rules

    def _grants(self, user: User, namespace: str) -> Iterator[tuple[Manifest, Manifest, Sequence[Manifest]]]:
        """Bindings, the subject in them that is the user, and what they grant."""
        for cluster_wide in self._cluster_role_bindings.select():
            yield from self._granted(user, cluster_wide.manifest, "")
        if namespace:
            for binding in self._role_bindings.select(namespace):
                yield from self._granted(user, binding.manifest, namespace)

    def _granted(
        self, user: User, binding: Manifest, namespace: str
    ) -> Iterator[tuple[Manifest, Manifest, Sequence[Manifest]]]:
        subject = next((one for one in binding.get("subjects") or () if _is_subject(one, user, namespace)), None)
        if subject is None:
            return
        reference = binding.get("roleRef") or {}
        resource = "clusterroles" if reference.get("kind") == "ClusterRole" else "roles"
        if rules := self.rules_of_role(resource, namespace, reference.get("name", "")):
            yield binding, subject, rules

    def rules_of_role(self, resource: str, namespace: str, name: str) -> Sequence[Manifest] | None:
        """None if there is no such role."""
        is_cluster_role = resource == "clusterroles"
        role = self._cluster_roles.get("", name) if is_cluster_role else self._roles.get(namespace, name)
        return (role.manifest.get("rules") or ()) if role else None


def _is_open(user: User, asked: Attributes) -> bool:
    """What upstream's default roles open to everyone."""
    paths = PUBLIC_PATHS if UNAUTHENTICATED in user.groups else DISCOVERY_PATHS
    is_below = any(asked.path == path or asked.path.startswith(f"{path}/") for path in paths)
    return bool(asked.path) and asked.verb == "get" and is_below


def _is_subject(subject: Manifest, user: User, namespace: str) -> bool:
    """An account without a namespace is of the binding's, `namespace`."""
    kind, name = subject.get("kind"), subject.get("name", "")
    if kind == "User":
        return bool(name == user.name)
    if kind == "Group":
        return name in user.groups
    return bool(user.name == f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}")


def _described(binding: Manifest, subject: Manifest) -> str:
    metadata, reference = binding["metadata"], binding["roleRef"]
    namespace = metadata.get("namespace")
    kind, name = "ClusterRoleBinding", metadata["name"]
    if namespace:
        kind, name = "RoleBinding", f"{name}/{namespace}"
    who = subject["name"]
    if subject["kind"] == "ServiceAccount":
        who = f"{who}/{subject.get('namespace') or namespace}"
    return f'{kind} "{name}" of {reference["kind"]} "{reference["name"]}" to {subject["kind"]} "{who}"'


def covers(rule: Manifest, asked: Attributes) -> bool:
    """Whether one rule allows what is asked for (A224)."""
    if not _holds(rule.get("verbs"), asked.verb):
        return False
    if asked.path:
        return any(_matches_path(pattern, asked.path) for pattern in rule.get("nonResourceURLs") or ())
    resources = rule.get("resources") or ()
    names = rule.get("resourceNames") or ()
    return (
        _holds(rule.get("apiGroups"), asked.group)
        and (_holds(resources, asked.full_resource) or f"*/{asked.subresource}" in resources)
        and (not names or (bool(asked.name) and asked.name in names))
    )


def _holds(values: Sequence[Any] | None, value: str) -> bool:
    return bool(values) and ("*" in values or value in values)  # type: ignore[operator]


def _matches_path(pattern: str, path: str) -> bool:
    return pattern == path or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def refusal(user: User, asked: Attributes) -> Forbidden:
    """Why not, in upstream's words (A58)."""
    if asked.path:
        return Forbidden(f'forbidden: User "{user.name}" cannot {asked.verb} path "{asked.path}"', has_details=True)
    qualified = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    subject = f'{qualified} "{asked.name}"' if asked.name else qualified
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    message = (
        f'{subject} is forbidden: User "{user.name}" cannot {asked.verb} resource "{asked.full_resource}" '
        f'in API group "{asked.group}" {where}'
    )
    return Forbidden(message, name=asked.name, group=asked.group, kind=asked.resource)
