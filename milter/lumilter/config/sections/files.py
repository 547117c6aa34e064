"""[files]: what scripts read."""

from __future__ import annotations

from dataclasses import dataclass

from lumilter.config.declare import key
from lumilter.config.kinds import SIZE


@dataclass(frozen=True, slots=True)
class Files:
    """Files that scripts read with msys.readfile and msys.core.io_wrapper_open."""

    max_read: int = key(
        SIZE, "The most that one read may give, and the longest line; more is an error to the script.", "32M"
    )
