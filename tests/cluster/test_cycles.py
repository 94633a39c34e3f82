"""When the collector of cycles looks at everything."""

from __future__ import annotations

import asyncio
import gc

import pytest

from holdfast.cluster.cycles import NEVER, OVERDUE, WORTH, Seen, collect_when_idle, is_time
from holdfast.world import real_world


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(Seen(0.0, WORTH - 1), False, id="not when there is little new"),
        pytest.param(Seen(0.0, WORTH), True, id="when there is much new, and nothing to do"),
        pytest.param(Seen(0.5, WORTH), False, id="not while there is much to do"),
        pytest.param(Seen(0.5, OVERDUE), True, id="at last, however much there is to do"),
    ],
)
def test_everything_is_looked_at(seen: Seen, expected: bool) -> None:
    assert is_time(seen) is expected


async def test_python_does_not_do_it_meanwhile_and_does_it_again_afterwards() -> None:
    before = gc.get_threshold()
    task = asyncio.create_task(collect_when_idle(real_world().clock))
    await asyncio.sleep(0)
    assert gc.get_threshold()[2] == NEVER
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert gc.get_threshold() == before
