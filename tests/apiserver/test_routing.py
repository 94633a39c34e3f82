"""What a path names (A8, A9, A23)."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.apiserver.auth.request_info import attributes
from holdfast.apiserver.options import parse_query
from holdfast.apiserver.routing import Discovery, Missing, Path, Route, parse, verb_of


def described(path: str) -> Any:
    route = parse(path)
    if isinstance(route, Route):
        return route.resource.plural, route.namespace, route.name, route.subresource
    return route


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/pods", ("pods", "", "", "")),
        ("/api/v1/namespaces/ns/pods", ("pods", "ns", "", "")),
        ("/api/v1/namespaces/ns/pods/", ("pods", "ns", "", "")),
        ("/api/v1/namespaces//pods", ("pods", "", "", "")),
        ("/api/v1/namespaces/ns/pods/a", ("pods", "ns", "a", "")),
        ("/api/v1/namespaces/ns/pods/a/log", ("pods", "ns", "a", "log")),
        ("/api/v1/namespaces", ("namespaces", "", "", "")),
        ("/api/v1/namespaces/a", ("namespaces", "", "a", "")),
        ("/api/v1/namespaces/a/finalize", ("namespaces", "", "a", "finalize")),
        ("/apis/apps/v1/namespaces/ns/statefulsets/a/scale", ("statefulsets", "ns", "a", "scale")),
        ("/api/v1/nodes/n%31", ("nodes", "", "n1", "")),
        ("/api", Discovery(True)),
        ("/apis", Discovery(False)),
        ("/apis/apps", Discovery(False, "apps")),
        ("/apis/apps/v1", Discovery(False, "apps", "v1")),
        ("/api/v1", Discovery(True, "", "v1")),
        ("/api/v2", Missing(is_status=True)),
        ("/apis/apps/v2", Missing(is_status=True)),
        ("/apis/nothing.example/v1", Missing(is_status=False)),
        ("/api/v1/configmaps/a", Missing(is_status=True)),
        ("/api/v1/namespaces/ns/nodes", Missing(is_status=True)),
        ("/api/v1/namespaces/ns/configmaps/a/status", Missing(is_status=True)),
        ("/api/v1/namespaces/ns/pods/a/log/b", Missing(is_status=True)),
        ("/nothing", Path("/nothing")),
        ("", Path("")),
    ],
)
def test_a_path_names(path: str, expected: Any) -> None:
    assert described(path) == expected


def test_a_proxy_path_keeps_its_tail() -> None:
    route = parse("/api/v1/namespaces/ns/pods/a/proxy/x/y")
    assert isinstance(route, Route)
    assert route.tail == "/x/y"


def test_legacy_watch_paths_mirror_the_others() -> None:
    route = parse("/apis/apps/v1/watch/namespaces/ns/statefulsets/a")
    assert isinstance(route, Route)
    assert (route.is_watch, route.resource.plural, route.namespace, route.name) == (True, "statefulsets", "ns", "a")


@pytest.mark.parametrize(
    ("method", "path", "verb"),
    [
        ("GET", "/api/v1/namespaces/ns/configmaps", "list"),
        ("POST", "/api/v1/namespaces/ns/configmaps", "create"),
        ("POST", "/api/v1/configmaps", ""),
        ("DELETE", "/api/v1/configmaps", ""),
        ("DELETE", "/api/v1/namespaces/ns/configmaps", "deletecollection"),
        ("DELETE", "/api/v1/namespaces", ""),
        ("POST", "/api/v1/namespaces/ns/configmaps/a", ""),
        ("PUT", "/api/v1/namespaces/ns/configmaps", ""),
        ("PATCH", "/api/v1/namespaces/ns/configmaps/a", "patch"),
        ("HEAD", "/api/v1/namespaces/ns/configmaps/a", ""),
        ("POST", "/api/v1/namespaces/ns/pods/a/binding", "create"),
        ("DELETE", "/apis/apps/v1/namespaces/ns/statefulsets/a/scale", ""),
    ],
)
def test_a_method_is_a_verb_or_not_allowed(method: str, path: str, verb: str) -> None:
    route = parse(path)
    assert isinstance(route, Route)
    assert verb_of(method, route, wants_watch=False) == verb


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/api/v1/namespaces/ns/pods", ("list", "", "pods", "ns", "")),
        ("GET", "/api/v1/pods?watch=1", ("watch", "", "pods", "", "")),
        ("GET", "/api/v1/watch/pods", ("watch", "", "pods", "", "")),
        ("GET", "/api/v1/namespaces/none", ("get", "", "namespaces", "none", "none")),
        ("GET", "/apis/apps/v1/namespaces/ns/statefulsets/w/scale", ("get", "apps", "statefulsets/scale", "ns", "w")),
        ("GET", "/api/v1/secrets?fieldSelector=a%3Db,metadata.name%3Dx", ("list", "", "secrets", "", "x")),
        ("DELETE", "/api/v1/namespaces/ns/pods", ("deletecollection", "", "pods", "ns", "")),
        ("GET", "/api/v1/namespaces/ns/nothings", ("list", "", "nothings", "ns", "")),
    ],
)
def test_what_is_asked_for_is_known_before_anything_is_looked_up(method: str, target: str, expected: Any) -> None:
    path, _, query = target.partition("?")
    asked = attributes(method, path, parse_query(query))
    assert (asked.verb, asked.group, asked.full_resource, asked.namespace, asked.name) == expected
