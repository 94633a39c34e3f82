"""A whole life as data, and how a seed draws one."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from holdfast.simulation.faults import Faults

from . import steps, troubles
from .shape import Shape, draw_shape
from .steps import CreateSet, Step

AnyStep = (
    steps.Scale
    | steps.Annotate
    | steps.ChangeImage
    | steps.RollBack
    | steps.ChangeStrategy
    | steps.MoveStart
    | steps.ChangeMinReady
    | steps.ChangeRetention
    | steps.ChangeHistoryLimit
    | steps.DeletePod
    | steps.FailPod
    | steps.DeleteSet
    | steps.CreateSet
    | steps.Orphan
    | steps.GiveBack
    | steps.TakeIdentity
    | steps.TakeOwner
    | steps.DeleteClaim
    | steps.DeleteRevision
    | troubles.TroubleNode
    | troubles.Cordon
    | troubles.RestartControlPlane
    | troubles.RestartServer
    | troubles.KillContainer
    | troubles.FailProbe
)
"""A step of a kind of your own goes here, and everything else follows."""

KINDS: tuple[type[Step], ...] = AnyStep.__args__


class Story(msgspec.Struct, frozen=True):
    """What is played; `seed` decides on the moments at which faults strike."""

    seed: int
    shape: Shape
    nodes: int
    faults: Faults
    steps: tuple[AnyStep, ...]

    def written(self) -> str:
        """JSON that `read` reads."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode()


def read(text: str) -> Story:
    """A story that was written down. Raises msgspec.ValidationError."""
    return msgspec.json.decode(text, type=Story)


def draw(seed: int) -> Story:
    """The story of a seed. Each draws from a choice of its own of faults and of steps: what is rare among everything
    is frequent in some."""
    chance = Random(f"story {seed}")
    shape = draw_shape(chance)
    return Story(
        seed=seed,
        shape=shape,
        nodes=chance.randint(1, 4),
        faults=_draw_faults(chance),
        steps=_draw_steps(chance, shape),
    )


def _draw_faults(chance: Random) -> Faults:
    strengths = {
        "crash_every_s": chance.choice([20.0, 60.0, 200.0]),
        "agent_crash_every_s": chance.choice([30.0, 60.0, 200.0]),
        "server_crash_every_s": chance.choice([30.0, 90.0, 300.0]),
        "other_write_every_s": chance.choice([0.5, 2.0, 10.0]),
        "down_s": chance.choice([1.0, 5.0, 60.0]),
        "request_delay_s": chance.choice([0.02, 0.2, 1.0]),
        "watch_delay_s": chance.choice([0.1, 1.0, 5.0]),
        "lost_request": chance.choice([0.01, 0.05, 0.15]),
        "lost_reply": chance.choice([0.01, 0.05, 0.15]),
        "broken_watch": chance.choice([0.002, 0.01, 0.05]),
        "slow_start_s": chance.choice([1.0, 5.0, 20.0]),
        "slow_stop_s": chance.choice([1.0, 5.0, 20.0]),
        "failed_pull": chance.choice([0.2, 0.6]),
    }
    share = chance.choice([0.0, 0.2, 0.5, 0.8])
    return Faults(**{name: value for name, value in strengths.items() if chance.random() < share})


def _draw_steps(chance: Random, shape: Shape) -> tuple[AnyStep, ...]:
    share = chance.choice([0.25, 0.5, 1.0])
    kinds = [kind for kind in KINDS if chance.random() < share] or [steps.Scale]
    longest_s = chance.choice([2.0, 10.0, 30.0, 120.0])
    drawn: list[Any] = []
    for _ in range(chance.randint(3, 16)):
        (kind,) = chance.choices(kinds, [one.likes for one in kinds])
        step = kind.draw(chance)
        if isinstance(step, CreateSet):
            policy = chance.choice([shape.policy, "OrderedReady", "Parallel"])
            step = CreateSet(shape=msgspec.structs.replace(shape, policy=policy))
        drawn.append(msgspec.structs.replace(step, after_s=round(chance.uniform(0, longest_s), 2)))
    return tuple(drawn)
