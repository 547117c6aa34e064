"""Every target, with as many examples as CI has time for, the same ones each time."""

from __future__ import annotations

import pytest

from fuzz.everything import TARGETS
from fuzz.target import Target


@pytest.mark.parametrize("each", TARGETS.values(), ids=TARGETS)
def test_holds(each: Target) -> None:
    each.run(each.examples)


def test_every_target_says_what_must_hold() -> None:
    assert len(TARGETS) > 30
    assert [name for name, each in TARGETS.items() if not each.law.endswith(".")] == []
