"""The smallest set of milter actions that turns the message the MTA holds into the one the scripts made.

The law: content only; a field that is the same object in both costs nothing.

The actions are ordered so that they mean the same to every MTA, whether a deleted field keeps its number or not:
changes first, then deletions from the last of a name to the first, then insertions, then additions. Several fields at
the top are inserted last one first, each at index 0. A field that took the place of one of the same name is a change.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import pairwise

from lumilter.session.events import AddHeader, ChangeHeader, Edit, InsertHeader, ReplaceBody
from lumilter.session.headers import Header, HeaderList
from lumilter.session.message import Message


def content_edits(original: HeaderList, body: bytes, edited: Message) -> list[Edit]:
    """Edits from `original` and `body` to `edited`."""
    edits: list[Edit] = []
    if not original.is_same(edited.headers):
        edits += _header_edits(list(original), list(edited.headers))
    if edited.body is not body and edited.body != body:
        edits.append(ReplaceBody(edited.body))
    return edits


def _header_edits(before: list[Header], after: list[Header]) -> list[Edit]:
    numbers = _numbers(before)
    kept = _kept(before, after)
    changes: list[Edit] = []
    deletions: list[ChangeHeader] = []
    inserts: list[Edit] = []
    top: list[Edit] = []
    adds: list[Edit] = []
    gaps = [(-1, -1), *kept, (len(before), len(after))]
    for (old_start, new_start), (old_end, new_end) in pairwise(gaps):
        gone = list(range(old_start + 1, old_end))
        added = changed = False
        for at in range(new_start + 1, new_end):
            field = after[at]
            match = None  # what is added comes after all that is there, so nothing behind it can be a change
            if not added:
                match = next((i for i, old in enumerate(gone) if _same_name(before[old], field)), None)
            if match is not None:
                deletions += [_deletion(before[old], numbers[old]) for old in gone[:match]]
                changes.append(ChangeHeader(numbers[gone[match]], field.name, field.value))
                gone, changed = gone[match + 1 :], True
            elif new_end == len(after):
                adds.append(AddHeader(field.name, field.value))
                added = True
            elif new_start < 0 and not changed:
                top.append(InsertHeader(0, field.name, field.value))
            else:
                inserts.append(InsertHeader(at, field.name, field.value))
        deletions += [_deletion(before[old], numbers[old]) for old in gone]
    deletions.sort(key=lambda edit: -edit.nth)
    return [*changes, *deletions, *reversed(top), *inserts, *adds]


def _deletion(field: Header, number: int) -> ChangeHeader:
    return ChangeHeader(number, field.name, b"")


def _same_name(one: Header, other: Header) -> bool:
    return one.name.lower() == other.name.lower()


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
