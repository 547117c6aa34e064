"""Messages by the thousand, in the background, with every reply counted: bench/miltload as a context manager.

The law: what the driver counted is read after it ended; a test says what of it may be other than right.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any


class Load:
    """options: miltload's; connections that are lost are made again. counts: what it counted, at the end."""

    def __init__(self, program: Path, socket: Path, options: Sequence[str]) -> None:
        self._command = [program, "-g", "-v", *options, f"unix:{socket}"]
        self.counts: Mapping[str, Any] = {}

    def __enter__(self) -> Load:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return self

    def end(self) -> None:
        """Before its time: messages that were begun come to their end."""
        self._process.terminate()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            self._process.kill()
        out, said = self._process.communicate(timeout=180)
        if kind is None:
            self.counts = json.loads(out)
            self.said = said

    @property
    def messages(self) -> int:
        return int(self.counts["messages"])

    def all_right(self, lost: int = 0) -> None:
        """Every message passed, with one header added; lost: connections that may have ended without a reply."""
        counts, verdicts = self.counts, self.counts["verdicts"]
        assert counts["messages"] > 0, counts
        assert counts["wrong"] == counts["errors"] == counts["timeouts"] == 0, (counts, self.said)
        assert verdicts["continue"] + verdicts["accept"] == counts["messages"], counts
        assert counts["edits"]["insert_header"] >= counts["messages"], counts
        assert counts["resets"] + counts["refused"] <= lost, (counts, self.said)
