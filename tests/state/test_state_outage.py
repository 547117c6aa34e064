"""state.outage: two lines for an outage, also where only a part of the operations fails."""

from __future__ import annotations

import pytest

from lumilter.state.outage import QUIET, Outage
from state.conftest import Clock


def test_it_is_said_once_that_it_begins_and_once_that_it_is_over(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    outage = Outage("the store", clock)
    outage.worked()
    for _ in range(100):  # a full store: what is new fails, what is there works
        outage.failed(ValueError("it is full"))
        outage.worked()
        clock.now += QUIET / 10
    assert [record.message for record in caplog.records] == [
        "the store: it is full; nothing more is said until that is over"
    ]
    clock.now += QUIET
    outage.worked()
    outage.worked()
    assert caplog.records[1].message == "the store works again after 49.5 s, in which 100 operations failed"
    outage.failed(ValueError("once more"))
    assert len(caplog.records) == 3
    assert (outage.failures, outage.total) == (1, 101)
