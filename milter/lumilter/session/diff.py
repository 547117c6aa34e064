"""The smallest set of milter actions that turns the message the MTA holds into the one the scripts made.

The law: content only; a field that is the same object in both costs nothing, and the result is the same on every MTA.

What MTAs were seen to do (Postfix 3.7, Sendmail 8.17), and what follows from it:
- Postfix gives a deleted field's number to the next one of its name, Sendmail does not: changes come first, then
  deletions from the last of a name to the first.
- A change gives the field its new name in Postfix, the old one stays in Sendmail: only a field of exactly that name,
  capitals included, is changed. An empty new value would be a deletion.
- Both insert at the top below their own Received, which they don't show us and don't count as a Received: several
  fields are inserted there last one first, each at index 0. Indices below the top are right in Postfix only, Sendmail
  puts such a field at the top; of all script functions only msg:raw and msg:raw_replace make any.
- What comes last is added. Once something was added nothing behind it can be a change. AddHeader means last; Sendmail's
  own "add" goes before the first of the name, so the wire has to say it to Sendmail as an insert past the end.
`apply` is the model of all this.
"""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from lumilter.session.buffers import is_same
from lumilter.session.events import AddHeader, ChangeHeader, Edit, InsertHeader, ReplaceBody
from lumilter.session.headers import Header, HeaderList
from lumilter.session.message import Message


def content_edits(original: HeaderList, body: bytes | memoryview, edited: Message) -> list[Edit]:
    """Edits from `original` and `body` to `edited`."""
    edits: list[Edit] = []
    if not original.is_same(edited.headers):
        edits += _header_edits(list(original), list(edited.headers))
    if not is_same(edited.body, body):
        edits.append(ReplaceBody(bytes(edited.body)))
    return edits


def _header_edits(before: list[Header], after: list[Header]) -> list[Edit]:
    if len(after) >= len(before) and all(map(operator.is_, before, after)):  # most policies only add
        return [AddHeader(field.name, field.value) for field in after[len(before) :]]
    numbers = _numbers(before)
    changes: list[Edit] = []
    gone: list[int] = []
    top: list[Edit] = []
    inserts: list[Edit] = []
    adds: list[Edit] = []
    gaps = [(-1, -1), *_kept(before, after), (len(before), len(after))]
    for (old_start, new_start), (old_end, new_end) in pairwise(gaps):
        places = _places(before, range(old_start + 1, old_end))
        replaced: set[int] = set()
        free = old_start + 1
        added = False
        for at in range(new_start + 1, new_end):
            field = after[at]
            old = None if added or not field.value else _first(places.get(field.name, ()), free)
            if old is not None:
                if before[old].value != field.value:
                    changes.append(ChangeHeader(numbers[old], field.name, field.value))
                replaced.add(old)
                free = old + 1
            elif new_end == len(after):
                adds.append(AddHeader(field.name, field.value))
                added = True
            elif new_start < 0 and not replaced:
                top.append(InsertHeader(0, field.name, field.value))
            else:
                inserts.append(InsertHeader(at, field.name, field.value))
        gone += [old for old in range(old_start + 1, old_end) if old not in replaced]
    deletions = [ChangeHeader(numbers[old], before[old].name, b"") for old in sorted(gone, key=lambda at: -numbers[at])]
    return [*changes, *deletions, *reversed(top), *inserts, *adds]


def _places(fields: list[Header], which: range) -> dict[bytes, list[int]]:
    places: dict[bytes, list[int]] = {}
    for at in which:
        places.setdefault(fields[at].name, []).append(at)
    return places


def _first(places: Sequence[int], start: int) -> int | None:
    found = bisect_left(places, start)
    return places[found] if found < len(places) else None


def _numbers(fields: list[Header]) -> list[int]:
    """For each field, which of its name it is, from 1."""
    seen: Counter[bytes] = Counter()
    numbers = []
    for field in fields:
        seen[field.name.lower()] += 1
        numbers.append(seen[field.name.lower()])
    return numbers


def _kept(before: list[Header], after: list[Header]) -> list[tuple[int, int]]:
    """Pairs of indices of fields that stay: the longest run of the same objects in order (patience sorting)."""
    index = {id(field): at for at, field in enumerate(before)}
    pairs = [(index[id(field)], at) for at, field in enumerate(after) if id(field) in index]
    tails: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for number, (old, _) in enumerate(pairs):
        place = bisect_left(tails, old)
        previous.append(ends[place - 1] if place else -1)
        tails[place : place + 1] = [old]
        ends[place : place + 1] = [number]
    chain, at = [], ends[-1] if ends else -1
    while at >= 0:
        chain.append(pairs[at])
        at = previous[at]
    return chain[::-1]
