"""Text that is shown or logged: what came from outside must not end a line, or look like another one.

The law: the standard library only, and little of it: `lumilter ctl` starts with this.
"""

from __future__ import annotations


def one_line(text: str) -> str:
    """Text without anything that would end or disguise a line."""
    return "".join(c if c.isprintable() and c.isascii() else c.encode("unicode_escape").decode() for c in text)
