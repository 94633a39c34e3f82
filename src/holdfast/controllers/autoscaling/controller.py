"""What the autoscaling controller looks at. Keys are autoscalers; each is looked at every 15 seconds (W82)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.api import registry
from holdfast.api.autoscaling.horizontal_pod_autoscaler import HORIZONTAL_POD_AUTOSCALERS
from holdfast.api.core.pod import PODS
from holdfast.api.errors import ApiError
from holdfast.api.metrics.usage_metrics import POD_METRICS
from holdfast.api.resource import SCALE, Manifest, Resource
from holdfast.api.selectors import LabelSelector, parse_label_selector
from holdfast.api.times import format_time
from holdfast.client import Client
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.world import Clock

from .limits import History, Moment
from .metrics import Measured
from .plan import Observed, Target, decide


@dataclass(frozen=True, slots=True)
class _Memory:
    """Of one autoscaler."""

    history: History
    asked: Moment | None = None
    """By how many pods to change the target, and when; it counts once status says that this was done."""


class AutoscalingController:
    name = "horizontal-pod-autoscaler"
    concurrency = 5

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._memories: dict[str, _Memory] = {}
        self._selectors: dict[str, dict[str, LabelSelector]] = {}
        """By namespace and autoscaler, those of targets that were seen."""

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._autoscalers = informers.of(HORIZONTAL_POD_AUTOSCALERS)
        self._pods = informers.of(PODS)
        self._defined = informers.follow_defined(lambda resource: None, lambda resource: None)

        def on_autoscaler(old: Manifest | None, new: Manifest | None) -> None:
            autoscaler = new or old
            assert autoscaler is not None
            if new is None:
                self._forget(autoscaler)
            elif old is None or old["spec"] != new["spec"]:
                queue.add(key_of(new))

        self._autoscalers.subscribe(on_autoscaler)

    def _forget(self, autoscaler: Manifest) -> None:
        key = key_of(autoscaler)
        self._memories.pop(key, None)
        self._selectors.get(autoscaler["metadata"]["namespace"], {}).pop(key, None)

    def observe(self, key: str) -> Observed | None:
        autoscaler = self._autoscalers.get(key)
        if autoscaler is None:
            return None
        return Observed(autoscaler, "not looked for yet", self._history(key, autoscaler), self._clock.now())

    def _history(self, key: str, autoscaler: Manifest) -> History:
        memory = self._memories.get(key)
        if memory is None:
            return History()
        scaled = (autoscaler.get("status") or {}).get("lastScaleTime")
        if memory.asked is not None and scaled == format_time(memory.asked[0]):
            memory = self._memories[key] = _Memory(memory.history.changed(*memory.asked))
        return memory.history

    async def verify(self, observed: Observed, client: Client) -> Observed:
        """The target's scale and what its pods use, as they are now."""
        try:
            target = await self._target(observed.autoscaler, client)
        except (ApiError, LookupError) as error:
            return replace(observed, target=str(error.args[0] if isinstance(error, LookupError) else error))
        return replace(observed, target=await self._with_pods(observed.autoscaler, target, client))

    async def _target(self, autoscaler: Manifest, client: Client) -> Target:
        """Without its pods. Raises ApiError, and LookupError for a kind that cannot be scaled."""
        reference = autoscaler["spec"]["scaleTargetRef"]
        resource = self._resource(reference.get("apiVersion") or "", reference["kind"])
        if SCALE not in resource.subresources:
            raise LookupError("the server could not find the requested resource")
        namespace = autoscaler["metadata"]["namespace"]
        return Target(resource, await client.get(resource, reference["name"], namespace, subresource="scale"))

    def _resource(self, api_version: str, kind: str) -> Resource:
        """Raises LookupError, in upstream's words."""
        if api_version.count("/") > 1:
            raise LookupError(f"unexpected GroupVersion string: {api_version}")
        group = api_version.partition("/")[0] if "/" in api_version else ""
        resource = registry.by_group_kind(group, kind) or self._defined.by_group_kind(group, kind)
        if resource is None:
            raise LookupError(f'no matches for kind "{kind}" in group "{group}"')
        return resource

    async def _with_pods(self, autoscaler: Manifest, target: Target, client: Client) -> Target:
        """With them, what they use, and who else scales by them."""
        if not target.selector:
            return target
        try:
            selector = parse_label_selector(target.selector)
        except ValueError as error:
            return replace(target, selector_error=str(error))
        namespace = autoscaler["metadata"]["namespace"]
        pods = [pod for pod in self._pods.list(namespace) if selector.matches(pod["metadata"].get("labels"))]
        rivals = self._rivals(namespace, key_of(autoscaler), selector, pods)
        measured = await _measured(client, namespace, target.selector) if len(rivals) < 2 else Measured()
        return replace(target, pods=pods, measured=measured, rivals=rivals)

    def _rivals(self, namespace: str, key: str, selector: LabelSelector, pods: list[Manifest]) -> list[str]:
        here = self._selectors.setdefault(namespace, {})
        here[key] = selector
        labels = [pod["metadata"].get("labels") for pod in pods]
        return sorted(one for one, other in here.items() if any(map(other.matches, labels)))

    def plan(self, observed: Observed) -> Plan:
        decision = decide(observed)
        asked = (observed.now, decision.change) if decision.change else None
        self._memories[key_of(observed.autoscaler)] = _Memory(decision.history, asked)
        return decision.plan


async def _measured(client: Client, namespace: str, selector: str) -> Measured:
    try:
        return Measured((await client.list(POD_METRICS, namespace, label_selector=selector)).items)
    except ApiError as error:
        return Measured(error=str(error))
