"""msys.pcre: Perl-compatible regular expressions, with limits that a hostile message can't pass.

The law: declarations only; libpcre2 is the adapter's. Its errors are results here: nil, the message and a number,
which is the offset in a pattern that does not compile, PCRE2's (negative) error code of a search that passed a limit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from lumilter.adapters import pcre
from lumilter.calls import Here, Job
from lumilter.registry import api

PACKAGE = "msys.pcre"

INLINE = 2048
"""Bytes of a subject that is searched at once. PCRE2's limits count from each starting position, so a bad pattern may
still take seconds for a long subject: that is done on a pool thread, and only the session at hand waits."""

Failure = tuple[None, str, int]
Found = TypeVar("Found")


@api("msys.pcre.match", package=PACKAGE, blocking=True)
def match(str: bytes, pattern: bytes, *, here: Here) -> dict[int | str, bytes] | Failure | Job | None:
    """The first match: a table with the whole at 0, captures at 1, 2, ... and named captures by name; nil without one.

    A capture that took no part is "", but the last ones of such are left out. Errors: nil, message, number.
    """
    return _searched(str, lambda: _table(pcre.match(str, pattern, here.services.pcre)))


@api("msys.pcre.replace", package=PACKAGE, blocking=True)
def replace(subject: bytes, pattern: bytes, replacement: bytes, *, here: Here) -> bytes | Failure | Job:
    r"""The subject with every match replaced; $1, ${1}, \1, $0 and ${name} stand for captures.

    \$ and \\ are literal. Errors: nil, message, number.
    """
    return _searched(subject, partial(pcre.replace, subject, pattern, replacement, here.services.pcre))


@api("msys.pcre.split", package=PACKAGE, blocking=True)
def split(subject: bytes, pattern: bytes, *, here: Here) -> list[bytes] | Failure | Job:
    """An array of what stands between matches; it has no empty strings. Errors: nil, message, number."""
    return _searched(subject, partial(pcre.split, subject, pattern, here.services.pcre))


def _searched(subject: bytes, search: Callable[[], Found]) -> Found | Failure | Job:
    def run(deadline: float = 0.0) -> Found | Failure:
        try:
            return search()
        except pcre.PatternError as error:
            return None, error.message, error.offset
        except pcre.MatchLimitError as error:
            return None, error.message, error.code

    return run() if len(subject) <= INLINE else Job(run, "pcre")


def _table(found: pcre.Match | None) -> dict[int | str, bytes] | None:
    return None if found is None else as_table(found)


def as_table(found: pcre.Match) -> dict[int | str, bytes]:
    """A match as scripts get it."""
    last = max(n for n, group in enumerate(found.groups) if group is not None)
    table: dict[int | str, bytes] = {n: group or b"" for n, group in enumerate(found.groups[: last + 1])}
    return table | {name: found.groups[n] or b"" for name, n in found.names.items()}
