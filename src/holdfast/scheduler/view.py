"""Nodes and what already runs on them, kept up with every change of a pod rather than counted anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from holdfast.api.core.host_ports import HostPort, host_ports
from holdfast.api.metadata import controller_of
from holdfast.api.resource import Manifest

from .requests import Amounts, add, amounts, requests_of


@dataclass(slots=True)
class NodeView:
    """One node as filters and scores see it."""

    manifest: Manifest
    allocatable: Amounts = field(default_factory=dict)
    requested: Amounts = field(default_factory=dict)
    ports: dict[str, list[HostPort]] = field(default_factory=dict)
    """By pod uid."""
    pods: dict[str, Manifest] = field(default_factory=dict)
    """By uid: every pod on the node that has not ended, terminating ones included (N224)."""
    owners: Counter[str] = field(default_factory=Counter)
    """How many of the pods have this controller, by its uid."""
    guarded: dict[str, Manifest] = field(default_factory=dict)
    """Those of the pods that do not want certain others near."""

    @property
    def name(self) -> str:
        name: str = self.manifest["metadata"]["name"]
        return name

    @property
    def labels(self) -> dict[str, str]:
        return self.manifest["metadata"].get("labels") or {}


def priority_of(pod: Manifest) -> int:
    return pod["spec"].get("priority") or 0


def has_ended(pod: Manifest) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def owner_of(pod: Manifest) -> str:
    """The uid of its controller; empty if it has none."""
    reference = controller_of(pod)
    return str(reference["uid"]) if reference else ""


class ClusterView:
    """All nodes. A pod counts for the node it has, or for the one it is assumed to get."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeView] = {}
        self._node_of: dict[str, str] = {}
        self._pods: dict[str, Manifest] = {}
        self._assumed: dict[str, str] = {}
        self._nominated: dict[str, tuple[Manifest, str]] = {}

    @property
    def nodes(self) -> list[NodeView]:
        """Nodes that exist, by name: what is decided does not depend on the order of events."""
        return [self._nodes[name] for name in sorted(self._nodes) if self._nodes[name].manifest]

    def set_node(self, name: str, manifest: Manifest | None) -> None:
        """A node that is gone is remembered as long as pods name it: it may come back."""
        view = self._nodes.setdefault(name, NodeView({}))
        view.manifest = manifest or {}
        view.allocatable = amounts(((manifest or {}).get("status") or {}).get("allocatable"))
        self._forget_if_empty(name)

    def set_pod(self, uid: str, pod: Manifest | None) -> None:
        """The pod as it is now; None when it is gone."""
        if pod is None or has_ended(pod) or pod["spec"].get("nodeName"):
            self._nominated.pop(uid, None)
        elif node := (pod.get("status") or {}).get("nominatedNodeName"):
            self._nominated[uid] = (pod, node)
        if pod is None or has_ended(pod):
            self._assumed.pop(uid, None)
            self._place(uid, None, "")
            return
        bound_to = pod["spec"].get("nodeName") or ""
        if bound_to:
            self._assumed.pop(uid, None)
        self._place(uid, pod, bound_to or self._assumed.get(uid, ""))

    def assume(self, pod: Manifest, node: str) -> None:
        """Counts the pod for the node until it is bound, gone, or `forget` is called."""
        uid = pod["metadata"]["uid"]
        self._assumed[uid] = node
        self._place(uid, pod, node)

    def forget(self, pod: Manifest) -> None:
        """The pod will not be on the node it was assumed to get."""
        uid = pod["metadata"]["uid"]
        if self._assumed.pop(uid, None):
            self._place(uid, None, "")

    def nominate(self, pod: Manifest, node: str) -> None:
        """Others make room for it there. Without a node: no more."""
        uid = pod["metadata"]["uid"]
        self._nominated.pop(uid, None)
        if node:
            self._nominated[uid] = (pod, node)

    def nominated_node(self, uid: str) -> str:
        return self._nominated[uid][1] if uid in self._nominated else ""

    def nodes_for(self, pod: Manifest) -> list[NodeView]:
        """The nodes, with what is being made room for there as if it had come, unless the pod is more important."""
        uid, mine = pod["metadata"]["uid"], priority_of(pod)
        coming: dict[str, list[Manifest]] = {}
        for other, node in self._nominated.values():
            other_uid = other["metadata"]["uid"]
            if other_uid != uid and priority_of(other) >= mine and other_uid not in self._node_of:
                coming.setdefault(node, []).append(other)
        return [_with(node, coming[node.name]) if node.name in coming else node for node in self.nodes]

    def assumed_node(self, uid: str) -> str:
        return self._assumed.get(uid, "")

    def _place(self, uid: str, pod: Manifest | None, node: str) -> None:
        if before := self._node_of.pop(uid, ""):
            view = self._nodes[before]
            owner = owner_of(view.pods.pop(uid))
            view.owners[owner] -= 1
            if not view.owners[owner]:
                del view.owners[owner]
            view.ports.pop(uid, None)
            view.guarded.pop(uid, None)
            add(view.requested, requests_of(self._pods.pop(uid)), -1)
            self._forget_if_empty(before)
        if pod is None or not node:
            return
        view = self._nodes.setdefault(node, NodeView({}))
        view.pods[uid] = self._pods[uid] = pod
        view.owners[owner_of(pod)] += 1
        if ports := host_ports(pod):
            view.ports[uid] = ports
        if (pod["spec"].get("affinity") or {}).get("podAntiAffinity"):
            view.guarded[uid] = pod
        add(view.requested, requests_of(pod))
        self._node_of[uid] = node

    def _forget_if_empty(self, name: str) -> None:
        view = self._nodes[name]
        if not view.manifest and not view.pods:
            del self._nodes[name]


def _with(node: NodeView, pods: Iterable[Manifest]) -> NodeView:
    view = ClusterView()
    view.set_node(node.name, node.manifest)
    for pod in (*node.pods.values(), *pods):
        view.assume(pod, node.name)
    return view.nodes[0]


def running_pods(nodes: Iterable[NodeView]) -> Iterable[tuple[NodeView, Manifest]]:
    for node in nodes:
        for pod in node.pods.values():
            yield node, pod
