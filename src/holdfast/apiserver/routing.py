"""From a URL path to what it names: pure, no object is looked at (A8, A9, A23)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from holdfast.api.core.pod import PODS
from holdfast.api.kinds import BUILT_IN, Kinds
from holdfast.api.resource import Resource, Subresource

NAMESPACE_SUBRESOURCES = ("status", "finalize")


@dataclass(frozen=True, slots=True)
class Route:
    """A collection, an object (`name` set) or something below one (`subresource` set) of a resource we serve."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    tail: str = ""
    """What follows a proxy subresource, with its leading slash."""
    is_watch: bool = False
    """A legacy `/watch/` path."""

    @property
    def has_no_namespace(self) -> bool:
        """A namespaced collection over all namespaces: it can be read only."""
        return self.resource.namespaced and not self.namespace

    def find_subresource(self) -> Subresource | None:
        return next((sub for sub in self.resource.subresources if sub.name == self.subresource), None)


@dataclass(frozen=True, slots=True)
class Discovery:
    """`/api`, `/apis`, `/apis/G`, `/apis/G/V`, `/api/v1`."""

    is_legacy: bool
    group: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """A path below /api or /apis that names nothing; `is_status` tells the form of the 404 (A23)."""

    is_status: bool


@dataclass(frozen=True, slots=True)
class Path:
    """Anything outside of /api and /apis."""

    path: str


def parse(path: str, kinds: Kinds = BUILT_IN) -> Route | Discovery | Missing | Path:
    """What `path`, still percent-encoded and without its query, names among the kinds that are served."""
    parts = path.split("/")
    if len(parts) < 2 or parts[0] or parts[1] not in ("api", "apis"):
        return Path(path)
    if "%" in path:
        parts = [unquote(part) for part in parts]
    while len(parts) > 2 and not parts[-1]:
        parts.pop()
    if parts[1] == "api":
        return _in_group(kinds, "", parts[2:], is_legacy=True)
    if len(parts) == 2:
        return Discovery(is_legacy=False)
    return _in_group(kinds, parts[2], parts[3:], is_legacy=False)


def _in_group(kinds: Kinds, group: str, rest: list[str], is_legacy: bool) -> Route | Discovery | Missing:
    versions = kinds.versions(group)
    if versions is None:
        return Missing(is_status=False)
    if not rest:
        return Discovery(is_legacy, group)
    version, *rest = rest
    if version not in versions:
        return Missing(is_status=not kinds.is_custom(group))
    if not rest:
        return Discovery(is_legacy, group, version)
    is_watch = rest[0] == "watch" and len(rest) > 1
    route = _resource(kinds, group, version, rest[1:] if is_watch else rest)
    if isinstance(route, Missing):
        return route
    if route is None or (is_watch and route.subresource):
        return Missing(is_status=not kinds.is_custom(group))
    if is_watch:
        return Route(route.resource, route.namespace, route.name, is_watch=True)
    return route


def _resource(kinds: Kinds, group: str, version: str, rest: list[str]) -> Route | Missing | None:
    namespace = ""
    is_namespaced = rest[0] == "namespaces" and len(rest) > 2
    if is_namespaced and not (not group and rest[2] in NAMESPACE_SUBRESOURCES and len(rest) == 3):
        namespace, rest = rest[1], rest[2:]
    else:
        is_namespaced = False
    if not group and namespace and rest == ["bindings"]:
        return Route(PODS, namespace, "", "binding")  # the older way to bind, with the name in the body (A153)
    resource = kinds.lookup(group, version, rest[0])
    if resource is None or (is_namespaced and not resource.namespaced):
        return None
    name = rest[1] if len(rest) > 1 else ""
    if name and resource.namespaced and not namespace:
        return None
    route = Route(resource, namespace, name, rest[2] if len(rest) > 2 else "", _tail(rest))
    if route.subresource and (route.find_subresource() is None or (route.tail and route.subresource != "proxy")):
        return None if resource.custom is None else Missing(is_status=True)
    return route


def _tail(rest: list[str]) -> str:
    return "/" + "/".join(rest[3:]) if len(rest) > 3 else ""


def verb_of(method: str, route: Route, wants_watch: bool) -> str:
    """The verb that authorization and discovery know (A223); empty if the path does not take the method."""
    if route.subresource:
        verb = {"GET": "get", "PUT": "update", "PATCH": "patch", "POST": "create", "DELETE": "delete"}.get(method, "")
        if route.subresource == "proxy" and method in ("HEAD", "OPTIONS"):
            verb = "get"
        sub = route.find_subresource()
        return verb if sub is not None and verb in sub.verbs else ""
    if route.name:
        verb = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method, "")
        if route.is_watch:
            verb = "watch" if method == "GET" else ""
    elif method == "GET":
        verb = "watch" if wants_watch or route.is_watch else "list"
    elif route.has_no_namespace:
        verb = ""
    else:
        verb = {"POST": "create", "DELETE": "deletecollection"}.get(method, "")
    return verb if verb in route.resource.verbs else ""
