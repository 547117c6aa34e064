"""docs/operating.md names every kind of wait that the figures have, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ROOT / "milter/lumilter"
MADE = re.compile(
    r"""\bJob\([^\n]*?, "(\w+)"|Elsewhere\((?:[^\n"]|\n)*?, "(\w+)"|Until\(begin, "(\w+)"|works\.begin\("(\w+)\""""
)


def test_kinds_of_waits() -> None:
    made = {
        next(filter(None, found))
        for directory in ("api", "host")
        for file in (CODE / directory).glob("*.py")
        for found in MADE.findall(file.read_text())
    }
    page = (ROOT / "docs/operating.md").read_text()
    text = page[page.index("`lumilter_wait_seconds` has") : page.index("Sleeping is not counted")]
    named = set(re.findall(r"`(\w+)`", text)) - {"lumilter_wait_seconds", "kind", "outcome"}
    assert made == named
