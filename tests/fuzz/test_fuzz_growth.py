"""Ten times the input is not much more than ten times the work, for everything that parses."""

from __future__ import annotations

import pytest

from fuzz.everything import GROWTHS
from fuzz.growth import Growth, grows


@pytest.mark.parametrize("each", GROWTHS.values(), ids=GROWTHS)
def test_time_grows_with_the_input(each: Growth) -> None:
    grows(each, enough=0.05)


def test_what_grows_faster_is_found() -> None:
    def slow(size: int) -> None:
        for _ in range((size // 2) ** 2):
            pass

    with pytest.raises(AssertionError, match="slow"):
        grows(Growth("slow", slow, lambda size: size, 10**5))
