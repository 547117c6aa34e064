"""An engine that is not asked, because nothing outside may be: for `lumilter test` without --live.

The law: a script hears of it as of any other failure, with what to do about it.
"""

from __future__ import annotations

from typing import Any

from lumilter.adapters.scanners.contract import Engine, Result, Sample, ScanError


class Offline:
    """In the place of an engine."""

    def __init__(self, engine: Engine) -> None:
        self.kind = engine.kind
        self.messages_only = engine.messages_only
        self.wants_envelope = engine.wants_envelope

    def scan(self, sample: Sample, server: Any, deadline: float) -> Result:
        """See contract.Engine."""
        raise ScanError("refused", "scanners are not asked offline (lumilter test --live asks them)")
