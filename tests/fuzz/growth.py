"""How the time that a parser takes grows with its input.

The law: ten times the input is not much more than ten times the work. What is measured is in `hostile`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lumilter.errors import LumilterError

REFUSALS = (LumilterError, ValueError)
SIZES = (10**3, 10**4, 10**5, 10**6)
FACTOR = 60
"""How much more time ten times the input may take: linear is 10, n log n some 12, quadratic 100."""
TOO_SHORT = 0.004
"""Seconds below which a measurement says nothing."""


@dataclass(frozen=True)
class Growth:
    """A parser and input of any size that is hostile to it. run: the parser; make: a size in bytes to its input.

    most: the largest size that is tried, where a limit of the parser's own makes more of it pointless.
    """

    name: str
    run: Callable[[Any], object]
    make: Callable[[int], Any]
    most: int = 10**6


def seconds(run: Callable[[Any], object], made: Any) -> float:
    """Processor time of this thread; a refusal is an answer too."""
    began = time.thread_time()
    with suppress(*REFUSALS):
        run(made)
    return time.thread_time() - began


def grows(each: Growth, enough: float = 1.0) -> list[tuple[int, float]]:
    """Sizes and seconds; AssertionError where they grow faster than the input.

    enough: seconds after which larger inputs are not tried, because the growth up to there is known.
    """
    found: list[tuple[int, float]] = []
    for size in SIZES:
        if size > each.most:
            break
        made = each.make(size)
        allowed = max(found[-1][1], TOO_SHORT) * FACTOR if found else float("inf")
        took = seconds(each.run, made)
        for _ in range(2):  # the best of three, but only where it matters
            took = min(took, seconds(each.run, made)) if took > allowed else took
        if took > allowed:
            raise AssertionError(f"{each.name}: {[*found, (size, took)]}")
        found.append((size, took))
        if took > enough:
            break
    return found
