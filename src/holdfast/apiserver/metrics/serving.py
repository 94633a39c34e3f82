"""Answers get and list of `metrics.k8s.io` for objects that the API knows (A277)."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.errors import InternalError
from holdfast.api.metrics.usage_metrics import NODE_METRICS
from holdfast.api.resource import Manifest
from holdfast.apiserver import responses, views
from holdfast.apiserver.api import Api
from holdfast.apiserver.call import Call
from holdfast.apiserver.options import ListOptions, Query, first, list_options
from holdfast.apiserver.responses import Style
from holdfast.apiserver.streams.dialing import NodeDialer
from holdfast.wire.messages import Response
from holdfast.world import Clock

from .objects import node_metrics, pod_metrics, shaped
from .samples import node_usage, pod_usage
from .scraping import Scraper

ANSWER_WITHIN_S = 10.0


class Metrics:
    """`api` is that of an open server."""

    def __init__(self, api: Api, dialer: NodeDialer, clock: Clock) -> None:
        self._api = api
        self._dialer = dialer
        self._clock = clock
        self._scraper = Scraper(self._fetch, clock)

    async def _fetch(self, node_name: str) -> str:
        client = self._dialer.client(node_name)
        answer = await client.request("GET", "/metrics/resource", timeout=ANSWER_WITHIN_S)
        if answer.status != 200:
            raise InternalError(f"the agent answered {answer.status}")
        return answer.body.decode()

    async def answer(self, call: Call, query: Query, style: Style, *, is_list: bool) -> Response:
        """In the form that was asked for. Raises NotAcceptable, BadRequest, NotFound."""
        include = first(query, "includeObject")
        views.check_shape(call.resource, style.form, include, is_list=is_list)
        found = await self.list(call, list_options(query, is_watch=False)) if is_list else [await self._get(call)]
        content = shaped(call.resource, style.form, found, is_list=is_list, include=include)
        return responses.document(200, content, style)

    async def _get(self, call: Call) -> Manifest:
        """Raises NotFound for what is not there, and for what cannot be told of yet."""
        about = Call(call.user, NODES if call.resource is NODE_METRICS else PODS, call.namespace, call.name)
        found = await self._of(call, [self._api.get(about).manifest])
        if not found:
            name = f"{call.namespace}/{call.name}" if call.namespace else call.name
            raise Call(call.user, call.resource, call.namespace, name).not_found()
        return found[0]

    async def list(self, call: Call, options: ListOptions) -> Sequence[Manifest]:
        """Of the nodes or pods that `options` select, without kind and apiVersion. Raises BadRequest."""
        about = Call(call.user, NODES if call.resource is NODE_METRICS else PODS, call.namespace, "")
        selected = ListOptions(label_selector=options.label_selector, field_selector=options.field_selector)
        return await self._of(call, [stored.manifest for stored in self._api.list(about, selected).items])

    async def _of(self, call: Call, manifests: Sequence[Manifest]) -> Sequence[Manifest]:
        return await (self._nodes(manifests) if call.resource is NODE_METRICS else self._pods(manifests))

    async def _nodes(self, nodes: Sequence[Manifest]) -> Sequence[Manifest]:
        pairs = await self._scraper.measured([node["metadata"]["name"] for node in nodes])
        now, found = self._clock.now(), []
        for node in nodes:
            pair = pairs.get(node["metadata"]["name"])
            if pair and (usage := node_usage(pair.base, pair.last)):
                found.append(node_metrics(node, usage, now))
        return found

    async def _pods(self, pods: Sequence[Manifest]) -> Sequence[Manifest]:
        running = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Running"]
        pairs = await self._scraper.measured(sorted({pod["spec"].get("nodeName", "") for pod in running} - {""}))
        now, found = self._clock.now(), []
        for pod in running:
            pair, metadata = pairs.get(pod["spec"].get("nodeName", "")), pod["metadata"]
            if pair and (usages := pod_usage(pair.base, pair.last, (metadata["namespace"], metadata["name"]))):
                found.append(pod_metrics(pod, usages, now))
        return found
