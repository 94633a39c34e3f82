"""`python -m holdfast.simulation [SCENARIO] [--seed N] [--seeds N]`: replays one history, or looks for a broken one."""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from holdfast.world import SystemClock

from .campaign import run
from .mixed.playing import tell
from .mixed.story import read
from .scenarios import SCENARIOS, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m holdfast.simulation", description=__doc__)
    parser.add_argument("scenario", nargs="?", default="mixed", choices=sorted(SCENARIOS))
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many, counting up; more than one run on all cores")
    parser.add_argument("--jobs", type=int, default=0, help="so many processes instead")
    parser.add_argument("--plan", type=Path, help="plays a story that was written down")
    parser.add_argument("-v", "--verbose", action="store_true", help="every decision of every part")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO if options.verbose else logging.CRITICAL, format="%(name)s %(message)s")
    if options.plan:
        text = options.plan.read_text()
        return _one(str(options.plan), lambda: tell(read(text)).fingerprint)
    if options.seeds == 1:
        return _one(f"{options.scenario} seed {options.seed}", lambda: play(options.scenario, options.seed))
    seeds = range(options.seed, options.seed + options.seeds)
    return 0 if run(options.scenario, seeds, SystemClock(), lambda line: print(line, flush=True), options.jobs) else 1


def _one(title: str, replay: Callable[[], str]) -> int:
    try:
        print(f"{title}: {replay()}")
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
