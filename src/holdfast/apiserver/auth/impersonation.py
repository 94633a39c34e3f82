"""Acting as somebody else, by the Impersonate-* headers (A222).

There are two ways to be allowed it. The older: the verb `impersonate` on each identity asked for, then for
everything. The constrained one, of Kubernetes 1.36: `impersonate:MODE` on the identities, and for each request
`impersonate-on:MODE:VERB` on what it is about. Source: KEP-5284.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from holdfast.api.errors import Forbidden

from .authorization import Attributes, Authorizer
from .user import ANONYMOUS, AUTHENTICATED, User

GROUP = "authentication.k8s.io"


@dataclass(frozen=True, slots=True)
class Identity:
    """What somebody wants to be, as a resource to be allowed on."""

    resource: str
    name: str
    namespace: str = ""

    @property
    def group(self) -> str:
        """Where the older way looks for it."""
        return GROUP if self.resource == "uids" else ""


@dataclass(frozen=True, slots=True)
class Wanted:
    user: User
    mode: str
    identities: Sequence[Identity]


def wanted(headers: Mapping[str, str]) -> Wanted | None:
    """Whom the headers ask for; None if they ask for nobody."""
    name = headers.get("impersonate-user", "")
    if not name:
        return None
    groups = tuple(group.strip() for group in headers.get("impersonate-group", "").split(",") if group.strip())
    uid = headers.get("impersonate-uid", "")
    mode, first, implied = _of_name(name)
    if groups or uid:
        mode = "user-info"
    identities = [first, *(Identity("groups", group) for group in groups), *([Identity("uids", uid)] if uid else ())]
    groups = groups or implied
    if AUTHENTICATED not in groups and name != ANONYMOUS.name:
        groups = (*groups, AUTHENTICATED)
    return Wanted(User(name, groups, uid), mode, identities)


def _of_name(name: str) -> tuple[str, Identity, tuple[str, ...]]:
    """Mode, identity, and the groups that come with the name."""
    if name.startswith("system:serviceaccount:") and name.count(":") == 3:
        _, _, namespace, account = name.split(":")
        implied = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        return "serviceaccount", Identity("serviceaccounts", account, namespace), implied
    return "user-info", Identity("users", name), ()


def check(authorizer: Authorizer, user: User, asked: Wanted, request: Attributes) -> None:
    """Raises Forbidden, worded for the constrained way, if neither is open."""
    try:
        authorizer.check(user, replace(request, verb=f"impersonate-on:{asked.mode}:{request.verb}"))
        for one in asked.identities:
            authorizer.check(user, _on(one, f"impersonate:{asked.mode}", GROUP))
    except Forbidden:
        if not all(authorizer.allows(user, _on(one, "impersonate", one.group)) for one in asked.identities):
            raise


def _on(one: Identity, verb: str, group: str) -> Attributes:
    return Attributes(verb, group, one.resource, namespace=one.namespace, name=one.name)
