"""What several adapters' tests share."""

from __future__ import annotations

import pytest

from support.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that nobody trusts unless told to."""
    return Authority.make(tmp_path_factory.mktemp("authority"))
