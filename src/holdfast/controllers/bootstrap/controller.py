"""What the controllers of bootstrap tokens look at."""

from __future__ import annotations

from holdfast.api.core.bootstrap_token import CLUSTER_INFO, CLUSTER_INFO_NAMESPACE, is_token, signing_token
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.secret import SECRETS
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.world import Clock

from .plan import ObservedInfo, ObservedToken, plan_signatures, plan_token

INFO_KEY = f"{CLUSTER_INFO_NAMESPACE}/{CLUSTER_INFO}"


class ClusterInfoSigner:
    """Signs what newcomers are told of the cluster, for each token. Its one key is that ConfigMap."""

    name = "bootstrap-signer-controller"
    concurrency = 1

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._maps, self._secrets = informers.of(CONFIG_MAPS), informers.of(SECRETS)

        def on_map(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None and key_of(new) == INFO_KEY:
                queue.add(INFO_KEY)

        def on_secret(old: Manifest | None, new: Manifest | None) -> None:
            if any(secret is not None and is_token(secret) for secret in (old, new)):
                queue.add(INFO_KEY)

        self._maps.subscribe(on_map)
        self._secrets.subscribe(on_secret)

    def observe(self, key: str) -> ObservedInfo | None:
        info = self._maps.get(key)
        if info is None:
            return None
        now = self._clock.now()
        tokens = (signing_token(secret, now) for secret in self._secrets.list() if is_token(secret))
        return ObservedInfo(info, [token for token in tokens if token is not None])

    def plan(self, observed: ObservedInfo) -> Plan:
        return plan_signatures(observed)


class TokenCleaner:
    """Removes tokens that are over. Keys are secrets."""

    name = "token-cleaner-controller"
    concurrency = 1

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._secrets = informers.of(SECRETS)

        def on_secret(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None and is_token(new):
                queue.add(key_of(new))

        self._secrets.subscribe(on_secret)

    def observe(self, key: str) -> ObservedToken | None:
        secret = self._secrets.get(key)
        return None if secret is None else ObservedToken(secret, self._clock.now())

    def plan(self, observed: ObservedToken) -> Plan:
        return plan_token(observed)
