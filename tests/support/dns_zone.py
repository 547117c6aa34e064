"""DNS of a few names for tests of what asks a lot: everything else does not exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumilter.adapters.dns import FixtureResolver
from lumilter.errors import LookupFailed


class Zone:
    """Names that are not there are NXDOMAIN, types that a name lacks NODATA. asked: (name, type) so far."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._fixtures = FixtureResolver(names)
        self._names = {name.lower() for name in names}
        self.asked: list[tuple[str, str]] = []

    def lookup(self, name: str, rtype: str = "A", **more: Any) -> list[tuple[int | None, str]]:
        self.asked.append((name, rtype))
        try:
            return self._fixtures.lookup(name, rtype, **more)
        except LookupFailed as error:
            if "no fixture" not in str(error):
                raise
            raise LookupFailed("NODATA" if name.lower() in self._names else "NXDOMAIN") from None
