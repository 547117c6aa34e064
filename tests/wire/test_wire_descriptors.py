"""Waiting for descriptors, of which a busy daemon has many."""

from __future__ import annotations

import fcntl
import os
import resource
import time
from collections.abc import Iterator

import pytest

from lumilter.wire.descriptors import readable


@pytest.fixture
def high() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe, the reading one above what select() takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048) if hard < 0 else min(max(soft, 2048), hard), hard))
    reading, writing = os.pipe()
    above = fcntl.fcntl(reading, fcntl.F_DUPFD_CLOEXEC, 1500)
    os.close(reading)
    yield above, writing
    os.close(above)
    os.close(writing)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_descriptor_above_1023(high: tuple[int, int]) -> None:
    reading, writing = high
    assert reading >= 1500
    begun = time.monotonic()
    assert not readable(reading, seconds=0.05)
    assert time.monotonic() - begun > 0.04
    os.write(writing, b"x")
    assert readable(reading, seconds=0)
    assert readable(reading)


def test_the_end_of_a_pipe_can_be_read() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    assert readable(reading)
    os.close(reading)
