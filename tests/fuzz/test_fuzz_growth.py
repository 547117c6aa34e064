"""Ten times the input is not much more than ten times the work, for everything that parses."""

from __future__ import annotations

import time

import pytest

from fuzz.everything import GROWTHS
from fuzz.growth import Growth, grows


@pytest.mark.parametrize("each", GROWTHS.values(), ids=GROWTHS)
def test_time_grows_with_the_input(each: Growth) -> None:
    grows(each, enough=0.05)


def test_what_grows_faster_is_found() -> None:
    def busy(seconds: float) -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    with pytest.raises(AssertionError, match="square"):
        grows(Growth("square", busy, lambda size: 0.003 * (size / 1000) ** 2, 10**4))
    with pytest.raises(AssertionError, match="sudden"):
        grows(Growth("sudden", busy, lambda size: 0.3 if size > 1000 else 0, 10**4))
    assert len(grows(Growth("linear", busy, lambda size: 0.003 * size / 1000, 10**4))) == 2
