"""`python -m holdfast.simulation [SCENARIO] [--seed N] [--seeds N]`: replays one history, or looks for a broken one."""

from __future__ import annotations

import argparse
import logging
import sys
import traceback

from .scenarios import SCENARIOS, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m holdfast.simulation", description=__doc__)
    parser.add_argument("scenario", nargs="?", default="lifecycle", choices=sorted(SCENARIOS))
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many, counting up")
    parser.add_argument("-v", "--verbose", action="store_true", help="every decision of every part")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO if options.verbose else logging.CRITICAL, format="%(name)s %(message)s")
    for seed in range(options.seed, options.seed + options.seeds):
        try:
            print(f"{options.scenario} seed {seed}: {play(options.scenario, seed)}")
        except Exception:
            traceback.print_exc()
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
