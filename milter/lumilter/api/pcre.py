"""msys.pcre: Perl-compatible regular expressions, with limits that a hostile message can't pass.

The law: declarations only; libpcre2 is the adapter's. Its errors are results here: nil, the message and a number,
which is the offset in a pattern that does not compile, PCRE2's (negative) error code of a search that passed a limit.
"""

from __future__ import annotations

from lumilter.adapters import pcre
from lumilter.calls import Here
from lumilter.registry import api

PACKAGE = "msys.pcre"

Failure = tuple[None, str, int]


@api("msys.pcre.match", package=PACKAGE)
def match(str: bytes, pattern: bytes, *, here: Here) -> dict[int | str, bytes] | Failure | None:
    """The first match: a table with the whole at 0, captures at 1, 2, ... and named captures by name; nil without one.

    A capture that took no part is "", but the last ones of such are left out. Errors: nil, message, number.
    """
    try:
        found = pcre.match(str, pattern, here.services.pcre)
    except (pcre.PatternError, pcre.MatchLimitError) as error:
        return _failure(error)
    return None if found is None else _table(found)


@api("msys.pcre.replace", package=PACKAGE)
def replace(subject: bytes, pattern: bytes, replacement: bytes, *, here: Here) -> bytes | Failure:
    r"""The subject with every match replaced; $1, ${1}, \1, $0 and ${name} stand for captures.

    \$ and \\ are literal. Errors: nil, message, number.
    """
    try:
        return pcre.replace(subject, pattern, replacement, here.services.pcre)
    except (pcre.PatternError, pcre.MatchLimitError) as error:
        return _failure(error)


@api("msys.pcre.split", package=PACKAGE)
def split(subject: bytes, pattern: bytes, *, here: Here) -> list[bytes] | Failure:
    """An array of what stands between matches; it has no empty strings. Errors: nil, message, number."""
    try:
        return pcre.split(subject, pattern, here.services.pcre)
    except (pcre.PatternError, pcre.MatchLimitError) as error:
        return _failure(error)


def _table(found: pcre.Match) -> dict[int | str, bytes]:
    last = max(n for n, group in enumerate(found.groups) if group is not None)
    table: dict[int | str, bytes] = {n: group or b"" for n, group in enumerate(found.groups[: last + 1])}
    return table | {name: found.groups[n] or b"" for name, n in found.names.items()}


def _failure(error: pcre.PatternError | pcre.MatchLimitError) -> Failure:
    return None, error.message, error.offset if isinstance(error, pcre.PatternError) else error.code
