"""The next step of a rolling update, for nodes on which nothing is wrong (W42).

What a deleted pod leaves open is filled by the next plan, since the node then wants a pod.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from holdfast.api.resource import Manifest

from .daemons import Judge, Work, is_leaving


@dataclass(frozen=True, slots=True)
class _Pair:
    """The old and the new pod of a node, as far as there are any that stay."""

    old: Manifest | None
    new: Manifest | None


def roll(judge: Judge, wanted: Collection[str], pods: Mapping[str, Sequence[Manifest]]) -> Work:
    """Replaces outdated pods within the bounds. `wanted` are the nodes that are to have a pod."""
    pairs = {node: _pair(judge, pods.get(node, ())) for node in sorted({*wanted, *pods})}
    surge = judge.daemon_set.max_surge(len(wanted))
    return _surge(judge, wanted, pairs, surge) if surge else _replace(judge, len(wanted), pairs)


def _pair(judge: Judge, pods: Sequence[Manifest]) -> _Pair | None:
    """None if there are several of a kind: `daemons` sees to them first."""
    staying = [pod for pod in pods if not is_leaving(pod)]
    new = [pod for pod in staying if judge.is_new(pod)]
    old = [pod for pod in staying if not judge.is_new(pod)]
    if len(new) > 1 or len(old) > 1:
        return None
    return _Pair(old[0] if old else None, new[0] if new else None)


def _replace(judge: Judge, wanted: int, pairs: Mapping[str, _Pair | None]) -> Work:
    """Without surge: an outdated pod that is not available goes at once, others as far as pods can be missed."""
    unavailable = 0
    broken, candidates = [], []
    for pair in pairs.values():
        if pair is not None and pair.old and not pair.new:
            if judge.is_available(pair.old):
                candidates.append(pair.old)
            else:
                broken.append(pair.old)
                unavailable += 1
        elif pair is None or pair.old or not pair.new or not judge.is_available(pair.new):
            unavailable += 1
    room = max(0, judge.daemon_set.max_unavailable(wanted) - unavailable)
    return Work(pods=[*broken, *candidates[:room]])


def _surge(judge: Judge, wanted: Collection[str], pairs: Mapping[str, _Pair | None], most: int) -> Work:
    """With surge: a new pod beside the old one, on `most` nodes at a time; at once where the old one is broken.

    A pod on a node that is to have none any more stays until as many as are wanted are available elsewhere.
    """
    work = Work()
    surging, available = 0, 0
    candidates: list[tuple[str, Manifest]] = []
    misplaced: list[tuple[str, Manifest]] = []
    for node, pair in pairs.items():
        if pair is None:
            surging += 1
            continue
        counted = pair.old or pair.new
        available += counted is not None and judge.is_available(counted)
        if pair.old is None:
            continue
        if pair.new is not None:
            surging += not judge.is_available(pair.new)
            work.pods += [pair.old] if judge.is_available(pair.new) else []
        elif judge.is_available(pair.old):
            (candidates if node in wanted else misplaced).append((node, pair.old))
        elif node in wanted:
            work.nodes.append(node)
        else:
            work.pods.append(pair.old)
    work.nodes += [node for node, _ in candidates[: max(0, most - surging)]]
    work.pods += [pod for _, pod in misplaced[: max(0, available - len(wanted))]]
    return work
