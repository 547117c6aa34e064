"""How the streaming matchers of messages and parts search and replace.

The law: a long subject is searched on a pool thread, where nothing is changed; what was found is put in place on the
Lua thread. No subject is copied but to put the end-of-data mark behind it, and not even for that where the wire left it
there.

Source: manual, pages of msg:raw_match, msg:body_replace, msg:text_replace and their kin. They leave the form of "the
matches" open: here a table of all of them, each a string, or, where the pattern has groups, a table such as
msys.pcre.match gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from lumilter.adapters import pcre
from lumilter.api.pcre import INLINE, as_table
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.session import mime, text
from lumilter.session.buffers import Buffer, is_of_file, let_go
from lumilter.session.mime import Part

MARK = b".\r\n"
"""The end-of-data mark, whose first line break is the end of the last line."""
_MARKED = 1 + len(MARK)
MOST = 100_000
"""Matches that one call may find: each is kept for the script."""

Found = list[Any] | bool


def with_mark(content: Buffer) -> Buffer:
    """A content with the end-of-data mark behind it."""
    if isinstance(content, memoryview) and is_of_file(content):
        marked = memoryview(content.obj)
        if len(marked) == len(content) + len(MARK) and marked[-len(MARK) :] == MARK and content[-1] == 10:
            return marked
    return b"".join([content, MARK if not len(content) or content[-1] == 10 else b"\r\n" + MARK])


def without_end(pieces: list[Buffer]) -> bytes:
    """What a replacement made of a content and its mark, without the mark where it is still there."""
    end = b""
    for piece in reversed(pieces):
        end = bytes(piece[-_MARKED:]) + end
        if len(end) >= _MARKED:
            break
    if end.endswith(b"\n" + MARK) or end == MARK:
        pieces, left = list(pieces), len(MARK)
        while left:
            last = pieces.pop()
            if len(last) > left:
                pieces.append(last[:-left])
            left = max(0, left - len(last))
    return b"".join(pieces)


def match(subjects: Iterable[Buffer], pattern: bytes, here: Here) -> Found | Job:
    """All matches in the subjects, one after the other."""
    subjects = list(subjects)
    limits = here.services.pcre

    def search(deadline: float = 0.0) -> Found:
        return _found(_all(subjects, pattern, limits))

    return search() if sum(map(len, subjects)) <= INLINE else Job(search, "pcre")


def replace(
    subject: Buffer, pattern: bytes, replacement: bytes, here: Here, change: Callable[[bytes], None], marked: bool
) -> Found | Job:
    """change(new) is called if anything matched. marked: the subject ends with the end-of-data mark; new is without."""
    limits = here.services.pcre
    texts = [subject]

    def search(deadline: float = 0.0) -> tuple[list[pcre.Match], bytes]:
        matches: list[pcre.Match] = []
        # The subject is a copy of a whole message, maybe, that is not to live as long as the hook.
        return matches, _replaced(texts.pop(), pattern, replacement, limits, marked, matches)

    def finish(result: tuple[list[pcre.Match], bytes]) -> Found:
        found, changed = result
        if found:
            change(changed)
        return _found(found)

    size, subject = len(subject), b""
    return finish(search()) if size <= INLINE else Job(search, "pcre", finish)


def match_texts(top: Part, pattern: bytes, here: Here) -> Found | Job:
    """All matches in the text of a part and the parts below it."""
    limits = here.services.pcre

    def search(deadline: float = 0.0) -> Found:
        return _found(_all(map(_subject, mime.texts(top)), pattern, limits))

    return search() if _size(top) <= INLINE else Job(search, "pcre")


def replace_texts(top: Part, pattern: bytes, replacement: bytes, here: Here) -> Found | Job:
    """Replace in the text of a part and the parts below it; parts without a match stay as they are."""
    limits = here.services.pcre
    top.check_writable()

    def search(deadline: float = 0.0) -> tuple[list[pcre.Match], list[tuple[Part, text.Encoded]]]:
        matches: list[pcre.Match] = []
        changes: list[tuple[Part, text.Encoded]] = []
        for part in mime.texts(top):
            before = len(matches)
            made = [_replaced(_subject(part), pattern, replacement, limits, _is_marked(part), matches)]
            if len(matches) > before:
                changes.append((part, text.encode_like(part, made.pop())))
        return matches, changes

    def finish(result: tuple[list[pcre.Match], list[tuple[Part, text.Encoded]]]) -> Found:
        matches, changes = result
        for part, encoded in changes:
            text.change_text(part, encoded)
        return _found(matches)

    return finish(search()) if _size(top) <= INLINE else Job(search, "pcre", finish)


def _replaced(
    subject: Buffer, pattern: bytes, replacement: bytes, limits: pcre.Limits, marked: bool, matches: list[pcre.Match]
) -> bytes:
    """What becomes of a subject; b"" where nothing matched. matches: gets the matches, and had those of others."""
    before = len(matches)
    with _explained():
        pieces = pcre.replaced(memoryview(subject), pattern, replacement, limits, MOST + 1 - before, matches)
    _count(matches)
    changed = b""
    if len(matches) > before:
        changed = without_end(pieces) if marked else b"".join(pieces)
    let_go(subject)
    return changed


def _is_marked(part: Part) -> bool:
    """Whether the message ends with the text of this part."""
    return part.parent is None and part.tree.whole


def _subject(part: Part) -> Buffer:
    found = text.text_of(part)
    return with_mark(found) if _is_marked(part) else found


def _size(top: Part) -> int:
    return sum(len(part.body) for part in top.walk())


def _all(subjects: Iterable[Buffer], pattern: bytes, limits: pcre.Limits) -> list[pcre.Match]:
    found: list[pcre.Match] = []
    for subject in subjects:
        with _explained():
            found += pcre.find_all(subject, pattern, MOST + 1 - len(found), limits)
        let_go(subject)
        _count(found)
    return found


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except pcre.PatternError as error:
        raise LumilterError(f"{error.message} (at byte {error.offset} of the pattern)") from None


def _count(found: list[pcre.Match]) -> None:
    if len(found) > MOST:
        raise LumilterError(f"there are more than {MOST} matches")


def _found(matches: list[pcre.Match]) -> Found:
    if not matches:
        return False
    return [match.groups[0] if len(match.groups) == 1 else as_table(match) for match in matches]
