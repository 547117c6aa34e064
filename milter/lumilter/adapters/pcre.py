"""Perl-compatible regular expressions over bytes: match, replace and split, bounded by limits.

The law: no match runs without limits, and nothing here knows Lua or a session. Patterns are UTF-8, as Momentum compiles
them. A subject that is not UTF-8 is searched too (Momentum finds nothing in it): its bad bytes match nothing, what
stands between them does. \\C, which takes characters apart, does not compile. Any thread may call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lumilter.adapters import pcre_ffi as ffi
from lumilter.adapters.pcre_code import Code, Limits, MatchData, MatchLimitError, PatternError, cache, workspace

__all__ = ["Limits", "Match", "MatchLimitError", "PatternError", "find_all", "match", "replace", "split"]


DEFAULT = Limits()

Buffer = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Match:
    """A match. groups: 0 is the whole, None a group that took no part; names: the group behind each name."""

    groups: list[bytes | None]
    names: dict[str, int]


def match(subject: Buffer, pattern: bytes, limits: Limits = DEFAULT) -> Match | None:
    """The first match, or None. Raises PatternError, MatchLimitError."""
    for code, pairs in _search(subject, pattern, limits):
        return _found(subject, code, pairs)
    return None


def replace(
    subject: Buffer, pattern: bytes, replacement: bytes, limits: Limits = DEFAULT, limit: int | None = None
) -> bytes:
    r"""The subject with every match (at most limit of them) replaced. Raises PatternError, MatchLimitError.

    In the replacement $1, ${1} and \1 are groups, $0 the whole match, ${name} a named group; one that is unset or does
    not exist is empty. A backslash before $ or a backslash makes that literal; any other lone $ or backslash vanishes.
    """
    return b"".join(replaced(subject, pattern, replacement, limits, limit))


def replaced(
    subject: Buffer,
    pattern: bytes,
    replacement: bytes,
    limits: Limits = DEFAULT,
    limit: int | None = None,
    matches: list[Match] | None = None,
) -> list[Buffer]:
    """As `replace`, in pieces: what no match took is not copied where the subject is a memoryview.

    matches: gets every match.
    """
    template = list(_template(replacement))
    literal = b"".join(item for item in template if isinstance(item, bytes))
    fixed = all(isinstance(item, bytes) for item in template)
    parts: list[Buffer] = []
    position = 0
    for code, pairs in _search(subject, pattern, limits, limit):
        parts.append(subject[position : pairs[0]])
        found = None if fixed and matches is None else _found(subject, code, pairs)
        parts.append(literal if fixed or found is None else _filled(template, found))
        if matches is not None and found is not None:
            matches.append(found)
        position = pairs[1]
    parts.append(subject[position:])
    return parts


def find_all(subject: Buffer, pattern: bytes, most: int, limits: Limits = DEFAULT) -> list[Match]:
    """Every match, most of them at most. Raises PatternError, MatchLimitError."""
    return [_found(subject, code, pairs) for code, pairs in _search(subject, pattern, limits, most)]


def split(subject: Buffer, pattern: bytes, limits: Limits = DEFAULT, limit: int | None = None) -> list[bytes]:
    """What stands between matches, never an empty piece; at most limit pieces, the last then holds the rest.

    Raises PatternError, MatchLimitError.
    """
    pieces: list[bytes] = []
    position = 0
    for _, pairs in _search(subject, pattern, limits):
        if limit is not None and len(pieces) + 1 >= limit:
            break
        if pairs[0] > position:
            pieces.append(bytes(subject[position : pairs[0]]))
        position = pairs[1]
    if position < len(subject):
        pieces.append(bytes(subject[position:]))
    return pieces


# --- replacements -----------------------------------------------------------------------------------------------------

_TOKEN = re.compile(rb"(?<=\\)(?P<quoted>[\\$])|(?:\$\{|[$\\])(?P<number>\d+)|\$\{(?P<name>[^}]*)\}?|[$\\]")


def _template(replacement: bytes) -> Iterator[bytes | int | str]:
    """Literals as bytes, groups by number or name. Momentum's rules, also for what its manual leaves open."""
    position = 0
    while token := _TOKEN.search(replacement, position):
        yield replacement[position : token.start()]
        position = token.end()
        kind = token.lastgroup
        if kind == "quoted":
            yield token["quoted"]
        elif kind == "number":
            yield int(token["number"].lstrip(b"0")[:6] or b"0")  # PCRE2 has at most 65535 groups
            position += token[0].startswith(b"${") and replacement[position : position + 1] == b"}"
        elif kind == "name":
            yield token["name"].decode("utf-8", "surrogateescape") or 0
    yield replacement[position:]


def _filled(template: list[bytes | int | str], found: Match) -> bytes:
    return b"".join(item if isinstance(item, bytes) else _group(found, item) for item in template)


def _group(found: Match, which: int | str) -> bytes:
    number = found.names.get(which, len(found.groups)) if isinstance(which, str) else which
    return (found.groups[number] or b"") if number < len(found.groups) else b""


# --- searching --------------------------------------------------------------------------------------------------------


def _search(
    subject: Buffer, pattern: bytes, limits: Limits, count: int | None = None
) -> Iterator[tuple[Code, list[int]]]:
    """Every match (at most count), from left to right: start and end of each group.

    After an empty match it goes on as Perl's //g does: at the same place, but not with an empty match there.
    """
    code = cache.get(pattern)
    space = workspace(limits)
    offset, options = 0, 0
    with MatchData(code) as data, ffi.Bytes(subject) as octets:
        while count is None or count > 0:
            result = code.run(octets, offset, options, data, space)
            if result in ffi.UTF8_ERRORS:  # the first search checks the subject, later ones need not
                code = cache.get(pattern, ffi.MATCH_INVALID_UTF)
                continue
            if result == ffi.ERROR_NOMATCH:
                return
            if result < 0:
                raise MatchLimitError(ffi.error_message(result), result)
            pairs = data.pairs()
            start, end = pairs[0], pairs[1]
            # Libraries before 10.38 let \K in a lookaround move a match backwards, for ever.
            if start > end or end < offset or (options & ffi.NOTEMPTY_ATSTART and end == offset):
                raise PatternError("\\K is not allowed in lookarounds", 199, 0)
            yield code, pairs
            options = ffi.NO_UTF_CHECK | (ffi.NOTEMPTY_ATSTART if start == end else 0)
            offset = end
            count = None if count is None else count - 1


def _found(subject: Buffer, code: Code, pairs: list[int]) -> Match:
    groups = [
        None if start == ffi.UNSET else bytes(subject[start:end])
        for start, end in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    names: dict[str, int] = {}
    for name, group in code.names:
        if name not in names or groups[names[name]] is None:  # (?J): the one of several that took part
            names[name] = group
    return Match(groups, names)
