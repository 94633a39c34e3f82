"""What a request asks to do, read off its method and path alone, before anything is looked up (A223, A231)."""

from __future__ import annotations

import re
from urllib.parse import unquote

from holdfast.apiserver.options import Query, first, flag

from .authorization import Attributes

VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
NAMESPACE_SUBRESOURCES = ("status", "finalize")


def attributes(method: str, path: str, query: Query) -> Attributes:
    """The question for the authorizer; names things that need not exist."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) > 2:
        group, rest = "", parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, rest = parts[1], parts[3:]
    else:
        return Attributes(method.lower() if method != "HEAD" else "get", path=path)
    verb = VERBS.get(method, "")
    is_legacy_watch = rest[0] == "watch" and len(rest) > 1
    if is_legacy_watch:
        rest = rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    name = rest[1] if len(rest) > 1 else ""
    if is_legacy_watch or (verb == "get" and not name):
        verb = "watch" if is_legacy_watch or flag(query, "watch") else "list"
        name = name or _name_selected(query)
    elif verb == "delete" and not name:
        verb = "deletecollection"
    return Attributes(verb, group, rest[0], rest[2] if len(rest) > 2 else "", namespace, name)


def _name_selected(query: Query) -> str:
    """The name that a field selector demands counts as the request's (A224)."""
    match = re.search(r"(?:^|,)metadata\.name==?([^,]+)", first(query, "fieldSelector"))
    return match[1] if match else ""
