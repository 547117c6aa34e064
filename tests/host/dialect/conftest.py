"""Fixtures for the dialect's tests."""

from __future__ import annotations

import pytest
from dialect_script import Script


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture(scope="module")
def shared() -> Script:
    """For properties: one state for all examples."""
    return Script()
