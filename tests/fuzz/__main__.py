"""Fuzz for long, by hand: python -m fuzz [TARGET ...] --seconds N.

The law: the same targets as in CI with inputs that are new each time. A failure is printed with the smallest input that
was found for it; the others go on.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback

from fuzz.everything import GROWTHS, TARGETS
from fuzz.growth import grows
from fuzz.target import Target

ROUND = 2
"""How many times the examples of CI are tried before the clock is looked at."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Without a TARGET, all of them in turn.")
    parser.add_argument("target", nargs="*", metavar="TARGET", help='a name, or the beginning of some ("session.")')
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together (%(default)g)")
    parser.add_argument("--seed", type=int, help="of the first round")
    parser.add_argument("--list", action="store_true", help="print the targets and what must hold")
    parser.add_argument("--growth", action="store_true", help="measure how time grows with the input, up to 1 MB")
    options = parser.parse_args()
    wanted = tuple(options.target) or ("",)
    chosen = [each for name, each in TARGETS.items() if name.startswith(wanted)]
    if options.list:
        for each in chosen:
            print(f"{each.name}\n    {' '.join(each.law.split())}")
        return 0
    if options.growth:
        return measure([name for name in GROWTHS if name.startswith(wanted)])
    if not chosen:
        parser.error(f"there is no target {' '.join(wanted)}; --list shows them")
    return fuzz(chosen, time.monotonic() + options.seconds, options.seed)


def fuzz(chosen: list[Target], until: float, start: int | None) -> int:
    """Rounds of all of them until the time is over; 1 if one failed."""
    failed: set[str] = set()
    tried = dict.fromkeys((each.name for each in chosen), 0)
    while time.monotonic() < until and len(failed) < len(chosen):
        for each in chosen:
            if each.name in failed or time.monotonic() >= until:
                continue
            start = random.getrandbits(32) if start is None else start
            try:
                each.run(each.examples * ROUND, start)
            except Exception:
                failed.add(each.name)
                print(f"FAILED {each.name} --seed {start}: {each.law}", flush=True)
                traceback.print_exc()
            tried[each.name] += each.examples * ROUND
            start = None
    for name, count in tried.items():
        print(f"{name:32} {count:8} examples{', FAILED' if name in failed else ''}")
    return bool(failed)


def measure(names: list[str]) -> int:
    """Seconds by size of each; 1 if one grows faster than its input."""
    failed = 0
    for name in names:
        try:
            shown = "  ".join(f"{size}: {took:.4f}" for size, took in grows(GROWTHS[name]))
        except AssertionError as error:
            failed, shown = 1, f"FAILED {error}"
        print(f"{name:32} {shown}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
