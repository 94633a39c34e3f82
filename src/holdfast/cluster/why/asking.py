"""From what a user asks about to the explanation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.api.apps.daemon_set import DAEMON_SETS
from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.batch.job import JOBS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.node import NODES
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest, Resource

from .chain import Cause
from .claims import why_claim, why_volume
from .evidence import Evidence
from .namespaces import why_namespace
from .nodes import why_node
from .pods import why_pod
from .services import DnsName, parse_name, why_name, why_service
from .statefulsets import why_statefulset
from .workloads import why_daemonset, why_deployment, why_job, why_replicaset

Explain = Callable[[Evidence, Manifest], Cause | None]

EXPLAINED: Mapping[Resource, Explain] = {
    PODS: why_pod,
    STATEFUL_SETS: why_statefulset,
    DEPLOYMENTS: why_deployment,
    REPLICA_SETS: why_replicaset,
    DAEMON_SETS: why_daemonset,
    JOBS: why_job,
    PERSISTENT_VOLUME_CLAIMS: why_claim,
    PERSISTENT_VOLUMES: why_volume,
    SERVICES: why_service,
    NODES: why_node,
    NAMESPACES: why_namespace,
}
NAME = "name"


class Unclear(ValueError):
    """What was asked about is nothing that can be explained; the text is for people."""


@dataclass(frozen=True, slots=True)
class Question:
    """About an object of the resource or, without one, about a name in DNS."""

    resource: Resource | None
    name: str
    dns_name: DnsName | None = None


def parse_question(text: str, namespace: str) -> Question:
    """`KIND/NAME` in any of kubectl's spellings, or `name/DNS.NAME`. Raises Unclear."""
    kind, slash, name = text.partition("/")
    if not slash or not name:
        raise Unclear(f"{text!r} is not KIND/NAME, as in sts/web, pod/web-0, pvc/data-web-0, or name/web-0.nginx")
    if kind == NAME:
        dns_name = parse_name(name, namespace)
        if dns_name is None:
            raise Unclear(f"{name} is not a name of this cluster, as in web-0.nginx or nginx.default.svc.cluster.local")
        return Question(None, name, dns_name)
    for resource in EXPLAINED:
        if kind.lower() in (resource.plural, resource.kind.lower(), *resource.short_names):
            return Question(resource, name)
    known = ", ".join([*(resource.kind.lower() for resource in EXPLAINED), NAME])
    raise Unclear(f"{kind!r} is none of {known}")


def answer(evidence: Evidence, question: Question) -> Cause | None:
    """None if all is as wanted. Raises NotFound."""
    if question.dns_name is not None:
        return why_name(evidence, question.dns_name)
    assert question.resource is not None
    found = evidence.get(question.resource, question.name)
    if found is None:
        kind = question.resource.qualified
        raise NotFound(f'{kind} "{question.name}" not found', name=question.name, kind=kind)
    return EXPLAINED[question.resource](evidence, found)
