"""The MIME tree: any bytes render to themselves, changes stay where they were made."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumilter.session.headers import Header, HeaderList, raw_fields
from lumilter.session.mime import MimeError, Part, Tree
from lumilter.session.mime_edits import insert, set_body, unlink
from lumilter.session.mime_reading import MAX_DEPTH, MAX_PARTS, read_message, split
from support.awkward import MESSAGES


def top_of(raw: bytes, writable: bool = True) -> Part:
    """The tree of a message in one piece."""
    header_end, body_start = split(raw)
    return read_message(HeaderList(raw_fields(raw[:header_end])), raw[body_start:], Tree(writable))


def made(raw: bytes) -> Part:
    """A part that is in no tree."""
    header_end, body_start = split(raw)
    part = Part(Tree(writable=True), separator=raw[header_end:body_start], body=raw[body_start:])
    part.headers = HeaderList(raw_fields(raw[:header_end]))
    return part


def outline(part: Part) -> object:
    """Types, nested as the parts are."""
    kind = part.content_type.value
    return kind if part.children is None else (kind, [outline(child) for child in part.children])


MIXED = b"""\
Subject: x\r
Content-Type: multipart/mixed; boundary="b 1"\r
\r
preamble\r
--b 1\r
Content-Type: text/plain\r
\r
one\r
--b 1  \r
Content-Type: multipart/alternative; boundary=c\r
\r
--c\r
\r
two\r
--c\r
Content-Type: text/html\r
\r
<b>three</b>\r
--c--\r
\r
--b 1\r
Content-Type: message/rfc822\r
\r
Subject: inner\r
\r
four\r
--b 1--\r
epilogue\r
"""

TREE = (
    "multipart/mixed",
    ["text/plain", ("multipart/alternative", ["text/plain", "text/html"]), ("message/rfc822", ["text/plain"])],
)

PIECES = st.lists(
    st.sampled_from(
        [
            b"--b\r\n", b"--b--\r\n", b"--b\n", b"--b", b"--b--", b"--c\r\n", b"--c--\r\n", b"--bb\r\n", b"--b \t\r\n",
            b"Content-Type: multipart/mixed; boundary=c\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n",
            b"Content-Type: message/rfc822\r\n", b"Content-Type: text/plain\r\n", b"X:\n y\n", b"\r\n", b"\n", b"\r",
            b"text", b"\x00", b"\xff", b":", b" folded\r\n", b"From x\r\n", b"Content-Transfer-Encoding: base64\r\n",
        ]
    ),
    max_size=40,
).map(b"".join)  # fmt: skip


@given(PIECES | st.binary(max_size=300))
def test_any_bytes_render_to_themselves(body: bytes) -> None:
    headers = HeaderList([Header(b"Content-Type", b" multipart/mixed; boundary=b")])
    tree = Tree(writable=True)
    top = read_message(headers, body, tree)
    assert top.body_bytes() == body
    for part in top.walk():
        _ = part.headers
        part.raw = None  # rendered from its pieces, not from the slice
    assert top.body_bytes() == body


@given(PIECES)
def test_a_header_section_renders_to_itself(section: bytes) -> None:
    assert HeaderList(raw_fields(section)).to_bytes() == section


@pytest.mark.parametrize("name", MESSAGES)
def test_awkward_messages_render_to_themselves(name: str) -> None:
    raw = MESSAGES[name]
    header_end, body_start = split(raw)
    top = top_of(raw)
    assert top.body_bytes() == raw[body_start:]
    for part in top.walk():
        part.raw = None
        _ = part.headers
    assert raw[:header_end] + raw[header_end:body_start] + top.body_bytes() == raw


def test_the_tree() -> None:
    top = top_of(MIXED)
    assert outline(top) == TREE
    kinds, part = [], top
    while part is not None:
        kinds.append((part.content_type.value, bytes(part.body) if part.children is None else b""))
        part = part.thread
    assert kinds == [
        ("multipart/mixed", b""), ("text/plain", b"one"), ("multipart/alternative", b""), ("text/plain", b"two"),
        ("text/html", b"<b>three</b>"), ("message/rfc822", b""), ("text/plain", b"four"),
    ]  # fmt: skip
    first = top.children[0]
    assert first.next is top.children[1]
    assert first.parent is top
    assert MIXED[first.offset :].startswith(b"Content-Type: text/plain\r\n\r\none")
    inner = top.children[2].children[0]
    assert MIXED[inner.offset :].startswith(b"Subject: inner")


@pytest.mark.parametrize(
    ("raw", "tree"),
    [
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n", "multipart/mixed"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx", ("multipart/mixed", ["text/plain"])),
        (b"Content-Type: multipart/mixed\r\n\r\n--\r\n\r\nx\r\n", "multipart/mixed"),
        (b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n\r\nx\r\n", "multipart/mixed"),
        (b"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\ny\n--b--\n",
         ("multipart/digest", [("message/rfc822", ["text/plain"])])),
        (b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQTogYg==\r\n", "message/rfc822"),
        (b"Content-Type: nonsense\r\n\r\nx", "text/plain"),
        (b"", "text/plain"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\nx--b\r\n--b\r\n--b\r\n--b--\r\n--b\r\n",
         ("multipart/mixed", ["text/plain", "text/plain"])),
    ],
)  # fmt: skip
def test_odd_boundaries(raw: bytes, tree: object) -> None:
    assert outline(top_of(raw)) == tree


def test_what_python_makes_of_it() -> None:
    """The standard library's parser finds the same parts in the same order."""
    for name in ("format_flowed", "multipart_related"):
        raw = next((raw for key, raw in MESSAGES.items() if name in key), MIXED)
        parsed = email.message_from_bytes(raw, policy=email.policy.compat32)
        theirs = [part.get_content_type() for part in parsed.walk()]
        assert [part.content_type.value for part in top_of(raw).walk()] == theirs


def test_nesting_and_numbers_are_bounded() -> None:
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(100))
    top = top_of(deep)
    depth = sum(1 for _ in top.walk())
    assert depth == MAX_DEPTH + 1
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    assert len(top_of(head + b"--b\r\n\r\n" * MAX_PARTS).children) == MAX_PARTS
    assert top_of(head + b"--b\r\n\r\n" * (MAX_PARTS + 1)).children is None


# --- changes ----------------------------------------------------------------------------------------------------------

NEW = b"Content-Type: text/plain\r\n\r\nnew"
BETWEEN = b"\r\n--b 1\r\n" + NEW


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (lambda top: insert(top, 3, made(NEW)), b"four\r\n--b 1--", b"four" + BETWEEN + b"\r\n--b 1--"),
        (lambda top: insert(top, 0, made(NEW)), b"preamble", b"preamble" + BETWEEN),
        (lambda top: insert(top, 1, made(NEW)), b"one", b"one" + BETWEEN),
        (lambda top: unlink(top.children[0]), b"\r\n--b 1\r\nContent-Type: text/plain\r\n\r\none", b""),
        (lambda top: set_body(top.children[1].children[1], b"4"), b"<b>three</b>", b"4"),
        (lambda top: set_body(top.children[2], b"A: b\r\n\r\nc"), b"Subject: inner\r\n\r\nfour", b"A: b\r\n\r\nc"),
        (lambda top: set_body(top.children[2].children[0], b"5"), b"four", b"5"),
    ],
)
def test_a_change_stays_where_it_was_made(change: Callable[[Part], None], old: bytes, new: bytes) -> None:
    top = top_of(MIXED)
    change(top)
    assert MIXED.count(old) == 1
    assert top.headers.to_bytes() + b"\r\n" + top.body_bytes() == MIXED.replace(old, new)


def test_into_a_body_without_preamble_or_end() -> None:
    top = top_of(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx")
    insert(top, 0, made(NEW))
    assert top.body_bytes() == b"--b\r\n" + NEW + b"\r\n--b\r\n\r\nx\r\n--b--\r\n"
    assert outline(top_of(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + top.body_bytes())) == (
        "multipart/mixed", ["text/plain", "text/plain"],
    )  # fmt: skip


def test_a_child_that_holds_the_boundary() -> None:
    top = top_of(MIXED)
    insert(top, 0, made(b"Content-Type: message/rfc822\r\n\r\n" + MIXED))
    again = top_of(top.headers.to_bytes() + b"\r\n" + top.body_bytes())
    assert len(again.children) == 4
    assert outline(again.children[0]) == ("message/rfc822", [TREE])
    assert again.children[0].body_bytes() == MIXED


def test_what_can_not_be_changed() -> None:
    read_only = top_of(MIXED, writable=False)
    with pytest.raises(MimeError, match="read-only"):
        set_body(read_only.children[0], b"")
    with pytest.raises(MimeError, match="read-only"):
        insert(read_only, 0, made(NEW))
    top = top_of(MIXED)
    with pytest.raises(MimeError, match="has no children"):
        insert(top.children[0], 0, made(NEW))
    with pytest.raises(MimeError, match="in a tree already"):
        insert(top, 0, top.children[0])
    with pytest.raises(MimeError, match="in no other one"):
        unlink(top)
    part = top.children[1]
    unlink(part)
    with pytest.raises(MimeError, match="in a tree already"):
        insert(part, 0, part)
    insert(top, 2, part)
    assert outline(top) == ("multipart/mixed", [TREE[1][0], TREE[1][2], TREE[1][1]])
    top.tree.attached = False
    with pytest.raises(MimeError, match="no longer in the message"):
        unlink(part)
