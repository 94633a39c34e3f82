"""The last steps of a pod on its node, each repeated until it succeeds (N131, N135)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from holdfast.api.core.pod import PODS
from holdfast.api.errors import ApiError, NotFound
from holdfast.world import Clock

from .pod import Pod
from .runtime import RuntimeFailure
from .shared import Shared

log = logging.getLogger(__name__)

FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 122.0
LONGEST_DELETION_RETRY_S = 10.0

Step = Callable[[str], Coroutine[Any, Any, None]]
"""Of the pod with that uid."""


async def until_done(clock: Clock, pod: Pod, step: Step, trouble: str) -> None:
    """Tries again for ever: a pod that is not cleaned up stays Terminating, on purpose (N135, V82)."""
    delay_s = FIRST_RETRY_S
    while True:
        try:
            await step(pod.uid)
            return
        except (OSError, RuntimeFailure) as error:
            log.warning("%s pod=%s error=%s", trouble, pod.key, error)
            await clock.sleep(delay_s)
            delay_s = min(delay_s * 2, LONGEST_RETRY_S)


async def delete_object(shared: Shared, pod: Pod, is_gone: Callable[[], bool]) -> None:
    """With grace 0, and of exactly this uid (N131, N233); until it is acknowledged or the pod is gone."""
    delay_s = FIRST_RETRY_S
    while not is_gone():
        try:
            await shared.client.delete(PODS, pod.name, pod.namespace, uid=pod.uid, grace_period_s=0)
            return
        except NotFound:
            return
        except ApiError as error:
            log.debug("pod not removed pod=%s error=%s", pod.key, error)
            await shared.world.clock.sleep(delay_s)
            delay_s = min(delay_s * 2, LONGEST_DELETION_RETRY_S)
