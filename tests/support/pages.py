"""The configurations in a page of docs/: what stands in its fenced blocks, by section and by the file that it is for.

The law: a block belongs to the file, in backticks, that the line before it names last. A test takes a section as a
whole and changes nothing in it but the paths and ports of an explicit table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

_HEADING = re.compile(r"#+ (.+)")
_NAMED = re.compile(r"`([^`]+)`")


def sections(page: str) -> dict[str, dict[str, str]]:
    """The sections of docs/`page` that have blocks: the heading, then the file that a block is for, to its text."""
    found: dict[str, dict[str, str]] = {}
    heading = before = ""
    block: list[str] | None = None
    for line in (DOCS / page).read_text().splitlines():
        if line.startswith("```"):
            if block is None:
                block = []
                continue
            names = _NAMED.findall(before)
            assert names, f"{page}: the block after {before!r} is for no file"
            section = found.setdefault(heading, {})
            assert names[-1] not in section, f"{page}: two blocks for {names[-1]} in {heading!r}"
            section[names[-1]] = "\n".join(block) + "\n"
            block = None
        elif block is not None:
            block.append(line)
        elif named := _HEADING.fullmatch(line):
            heading = named[1]
        elif line.strip():
            before = line
    return found


def placed(text: str, places: Mapping[str, str]) -> str:
    """A block with the page's paths and ports (the keys, each a whole word) replaced by a test's own."""
    names = "|".join(re.escape(name) for name in sorted(places, key=len, reverse=True))
    return re.sub(rf"(?<![\w/.-])({names})(?![\w-])", lambda found: places[found[1]], text)
