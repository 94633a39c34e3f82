"""What is decided for pods when they are created: account, priority, tolerations (A234, A236, A237)."""

from __future__ import annotations

import asyncio

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.resource import Manifest
from holdfast.api.scheduling.priority_class import PRIORITY_CLASSES
from holdfast.apiserver.cache import Cache
from holdfast.apiserver.call import Call

MIRROR = "kubernetes.io/config.mirror"
DEFAULT = "default"
ACCOUNT_COMES_WITHIN_S = 1.5
EVICTED_AFTER_S = 300
TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


async def wait_for_account(cache: Cache, call: Call, new: Manifest) -> None:
    """Returns when the account `default` of a young namespace is there, or after a moment without it."""
    spec = new.get("spec") or {}
    if (spec.get("serviceAccountName") or spec.get("serviceAccount") or DEFAULT) != DEFAULT:
        return
    accounts = cache.of(SERVICE_ACCOUNTS)
    if accounts.get(call.namespace, DEFAULT) is not None or cache.of(NAMESPACES).get("", call.namespace) is None:
        return
    news = asyncio.Event()
    unfollow = accounts.follow(lambda event: news.set())
    try:
        async with asyncio.timeout(ACCOUNT_COMES_WITHIN_S):
            while accounts.get(call.namespace, DEFAULT) is None:
                news.clear()
                await news.wait()
    except TimeoutError:
        return
    finally:
        unfollow()


def service_account(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """The pod's account is `default` unless it names another; it has to exist. Raises Forbidden."""
    if old is not None or MIRROR in (new["metadata"].get("annotations") or {}):
        return
    spec = new.setdefault("spec", {})
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or DEFAULT
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = cache.of(SERVICE_ACCOUNTS).get(call.namespace, name)
    if account is None:
        detail = f'error looking up service account {call.namespace}/{name}: serviceaccount "{name}" not found'
        raise call.forbidden(detail)
    secrets = account.manifest.get("imagePullSecrets")
    if secrets and not spec.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [{**secret} for secret in secrets]


def priority(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """The number behind the priority class, and whether the pod may push others out. Raises Forbidden."""
    if old is not None:
        return
    spec = new.setdefault("spec", {})
    value, preemption = 0, "PreemptLowerPriority"
    name = spec.get("priorityClassName") or ""
    chosen = _class(cache, name)
    if chosen is None and name:
        raise call.forbidden(f"no PriorityClass with name {name} was found")
    if chosen is not None:
        value = chosen.get("value", 0)
        preemption = chosen.get("preemptionPolicy") or preemption
        if not name:
            spec["priorityClassName"] = chosen["metadata"]["name"]
    given = spec.get("priority")
    if given is not None and given != value:
        raise call.forbidden(
            f"the integer value of priority ({given}) must not be provided in pod spec; "
            f"priority admission controller computed {value} from the given PriorityClass name"
        )
    spec["priority"] = value
    if (given := spec.get("preemptionPolicy")) is not None and given != preemption:
        raise call.forbidden(
            f"the string value of PreemptionPolicy ({given}) must not be provided in pod spec; "
            f"priority admission controller computed {preemption} from the given PriorityClass name"
        )
    spec["preemptionPolicy"] = preemption


def one_default_class(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """Of priority classes only one may be for pods that name none. Raises Forbidden."""
    present = _class(cache, "") if new.get("globalDefault") else None
    if present is not None and (old is None or present["metadata"]["name"] != call.name):
        name = present["metadata"]["name"]
        raise call.forbidden(f"PriorityClass {name} is already marked as default. Only one default can exist")


def _class(cache: Cache, name: str) -> Manifest | None:
    """The class of that name, or without a name the one that is default for all."""
    classes = cache.of(PRIORITY_CLASSES)
    if name:
        stored = classes.get("", name)
        return stored.manifest if stored else None
    defaults = [one.manifest for one in classes.select() if one.manifest.get("globalDefault")]
    return min(defaults, key=lambda one: int(one.get("value", 0)), default=None)


def default_tolerations(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """A pod stays five minutes on a node that is lost, unless it says otherwise."""
    if old is not None:
        return
    spec = new.setdefault("spec", {})
    tolerations = list(spec.get("tolerations") or ())
    for key in TOLERATED:
        if not any(_tolerates(toleration, key) for toleration in tolerations):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": EVICTED_AFTER_S}
            )
    spec["tolerations"] = tolerations


def _tolerates(toleration: Manifest, key: str) -> bool:
    return (toleration.get("key") or key) == key and (toleration.get("effect") or "NoExecute") == "NoExecute"
