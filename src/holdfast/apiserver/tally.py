"""What the API server tells Prometheus of itself at `/metrics`: requests it has answered, objects it keeps.

Source: Kubernetes, k8s.io/apiserver/pkg/endpoints/metrics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from holdfast.wire import process_metrics
from holdfast.wire.http import Answer, Upgrade
from holdfast.wire.prometheus import Family, Sample, written

from .health import KUBERNETES
from .routing import Route

if TYPE_CHECKING:
    from .cache import Cache

Key = tuple[str, str, str, str, str, str, int]
"""Verb, group, version, resource, subresource, scope, code."""

_LABELS = ("verb", "group", "version", "resource", "subresource", "scope", "code")
_VERBS = {"create": "POST", "update": "PUT"}
"""What differs from the verb in capitals."""


class Tally:
    """Counts answers, one addition each."""

    def __init__(self) -> None:
        self._answers: Counter[Key] = Counter()

    def counted(self, route: Route, verb: str, answer: Answer | Awaitable[Answer]) -> Answer | Awaitable[Answer]:
        """The same answer, counted once it is there."""
        if isinstance(answer, Awaitable):
            return self._later(route, verb, answer)
        self.count(route, verb, _code(answer))
        return answer

    async def _later(self, route: Route, verb: str, answer: Awaitable[Answer]) -> Answer:
        given = await answer
        self.count(route, verb, _code(given))
        return given

    def count(self, route: Route, verb: str, code: int) -> None:
        """One answer; for those that were an error before they were an answer."""
        resource = route.resource
        scope = "resource" if route.name else "namespace" if route.namespace else "cluster"
        self._answers[verb, resource.group, resource.version, resource.plural, route.subresource, scope, code] += 1

    def text(self, cache: Cache) -> str:
        """The body of `/metrics`."""
        requests = [Sample(count, _labels(key)) for key, count in sorted(self._answers.items())]
        objects = [(one.resource, one.count()) for one in cache.all()]
        build = {"git_version": f"{KUBERNETES}+holdfast", "major": "1", "minor": "36"}
        return written(
            [
                Family(
                    "apiserver_request_total",
                    "counter",
                    "[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, "
                    "resource, scope, component, and HTTP response code.",
                    requests,
                ),
                Family(
                    "apiserver_resource_objects",
                    "gauge",
                    "[ALPHA] Number of stored objects at the time of last check split by kind.",
                    [Sample(count, {"group": kind.group, "resource": kind.plural}) for kind, count in objects],
                ),
                Family(
                    "apiserver_storage_objects",
                    "gauge",
                    "[STABLE] Number of stored objects at the time of last check split by kind.",
                    [Sample(count, {"resource": _full_name(kind.plural, kind.group)}) for kind, count in objects],
                ),
                Family("kubernetes_build_info", "gauge", "[BETA] The value is always 1.", [Sample(1, build)]),
                *process_metrics.families(),
            ]
        )


def _code(answer: Answer) -> int:
    return 101 if isinstance(answer, Upgrade) else answer.status


def _labels(key: Key) -> dict[str, str]:
    labels = dict(zip(_LABELS, map(str, key), strict=True))
    verb = labels["verb"]
    return {**labels, "verb": _VERBS.get(verb, verb.upper()), "component": "apiserver", "dry_run": ""}


def _full_name(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural
