"""messages: MIME trees, the text of their parts, parameters, patterns over bodies, groups of recipients."""

from __future__ import annotations

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import BYTES, FROM_MTA
from lumilter.adapters import pcre
from lumilter.api.matching import MARK, with_mark, without_end
from lumilter.session import delivery_status, text, transfer
from lumilter.session.headers import Header, HeaderList, raw_fields
from lumilter.session.message import Message
from lumilter.session.mime import Part, Tree
from lumilter.session.mime_edits import insert, set_body, unlink
from lumilter.session.parameters import Parameters, with_parameter

PIECES = [
    b"--b\r\n", b"--b--\r\n", b"--b\n", b"--b", b"--c\r\n", b"--c--\r\n", b"--b \t\r\n", b"\r\n", b"\n", b"\r", b"x",
    b"Content-Type: multipart/mixed; boundary=c\r\n", b"Content-Type: multipart/digest; boundary=b\r\n",
    b"Content-Type: message/rfc822\r\n", b"Content-Type: text/plain; charset=iso-8859-1\r\n", b"\0", b"\xff", b":",
    b"Content-Type: text/html; charset=utf-16\r\n", b"Content-Type: text/x; charset=nonsense\r\n", b" folded\r\n",
    b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n", b"aGVsbG8=", b"=C3=",
    b"=\r\n", b"====", b"From x\r\n", b"\xc3\xa9", b"Subject: a\r\n", b"\x1b$B", b"needle",
]  # fmt: skip
BODIES = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join) | BYTES


def _message(body: bytes) -> Message:
    return Message(HeaderList([Header(b"Content-Type", b" multipart/mixed; boundary=b")]), body, "", "")


def _same(part: Part) -> bytes:
    """Rendered from its smallest pieces."""
    for each in part.walk():
        _ = each.headers
        each.raw = None
    return part.body_bytes()


@target(BODIES, examples=500)
def tree(body: bytes) -> None:
    """Any body renders to itself; parts have types, parents and a way through all of them."""
    top = _message(body).mime(writable=True)
    assert top.body_bytes() == body
    assert _same(top) == body
    threaded, part = [], top
    while part is not None:
        threaded.append(part)
        part = part.thread
    assert [id(part) for part in threaded] == [id(part) for part in top.walk()]
    for part in threaded:
        assert "/" in part.content_type.value
        assert part.body_size == len(part.body_bytes())
        assert part.body_text() == part.body_bytes()
        assert part.text() == part.to_bytes()
        assert HeaderList(raw_fields(bytes(part.section))).to_bytes() == bytes(part.section)


@target(st.tuples(BODIES, st.lists(st.tuples(st.integers(0, 30), st.sampled_from("utdab"), BYTES), max_size=5)))
def edits(given: tuple[bytes, list[tuple[int, str, bytes]]]) -> None:
    """Whatever is changed, in any part, the message reads again as what was made of it."""
    body, changes = given
    message = _message(body)
    for number, what, raw in changes:
        top = message.mime(writable=True)
        parts = list(top.walk())
        part = parts[number % len(parts)]
        before = len(parts)
        if what == "u" and part.parent is not None:
            gone = sum(1 for _ in part.walk())
            unlink(part)
            assert len(list(top.walk())) == before - gone
        elif what == "t" and part.is_text:
            text.change_text(part, text.encode_like(part, raw))
        elif what == "d" and part.children is None:
            text.replace_text(part, raw.decode("utf-8", "replace").encode())
            assert bytes(text.text_of(part)).replace(b"\r\n", b"\n") == _lines(raw)
        elif what == "a" and part.is_container:
            new = Part(Tree(writable=True))
            new.headers.append("Content-Type", ["text/plain"])
            set_body(new, raw)
            insert(part, len(part.children or ()), new)
        elif what == "b" and part.children is None:
            set_body(part, raw)
        again = Message(message.headers.copy(), bytes(message.body), "", "").mime(writable=False)
        assert again.body_bytes() == message.body


def _lines(raw: bytes) -> bytes:
    return raw.decode("utf-8", "replace").encode().replace(b"\r\n", b"\n")


@target(FROM_MTA, examples=500)
def parameters(value: str) -> None:
    """Any text has parameters; one that is set is read again, and the others stay."""
    read = Parameters.parse(value)
    raw = with_parameter(b" text/plain; " + value.encode("utf-8", "surrogateescape"), "charset", "utf-8")
    assert isinstance(read.parameters, dict)
    assert b"charset=utf-8" in raw.lower()


@target(st.tuples(BODIES, st.sampled_from([rb"x", rb"\r\n\.\r\n", rb"(?<n>e+)d", rb"^", rb"\b", rb"."]), BYTES))
def matching(given: tuple[bytes, bytes, bytes]) -> None:
    """A replacement takes the end-of-data mark off again, and changes nothing where nothing matches."""
    body, pattern, replacement = given
    marked = with_mark(body)
    assert bytes(marked).endswith(MARK)
    for subject in (marked, memoryview(marked)):
        found = pcre.find_all(subject, pattern, 1000)
        pieces = pcre.replaced(subject, pattern, replacement)
        assert b"".join(pieces) == pcre.replace(bytes(marked), pattern, replacement)
        if not found:
            assert without_end(pieces) in (body, body + b"\r\n")


CODED = st.lists(st.sampled_from([*PIECES, b"QQ==", b"=41", b"= \r\n", b"=\n", b"\x1b(B", b"\xfe\xff"]), max_size=60)


@target(st.tuples(CODED.map(b"".join), st.integers(1, 40), st.sampled_from(["base64", "quoted-printable", "8bit"])))
def steps(given: tuple[bytes, int, str]) -> None:
    """Where a step ends changes nothing of what a body decodes to, and what is encoded decodes."""
    body, size, encoding = given
    whole = b"".join(transfer.decoded(body, encoding))
    assert b"".join(transfer.decoded(body, encoding, size)) == whole
    there = b"".join(transfer.encoded(whole, encoding, size))
    assert b"".join(transfer.decoded(there, encoding)).replace(b"\r\n", b"\n") == whole.replace(b"\r\n", b"\n")
    for charset in ("utf-16", "iso-2022-jp", "shift_jis", "nonsense"):
        b"".join(transfer.in_utf8(transfer.steps(body, size), charset)).decode("utf-8", "surrogateescape")


STATUS = [
    b"Reporting-MTA: dns; x\r\n", b"Final-Recipient: rfc822; a@b\r\n", b"Status: 5.1.1\r\n", b"\r\n", b"\n", b" folded",
    b":", b"\r", b"\xff", b"=?utf-8?Q?=C3=A9?=", b"Content-Type: message/delivery-status\r\n", b"--b\r\n", b"--b--\r\n",
]  # fmt: skip


@target(st.lists(st.sampled_from(STATUS), max_size=40).map(b"".join) | BYTES)
def status(body: bytes) -> None:
    """A notification is read or is none; its fields can be written."""
    found = delivery_status.read(_message(body).mime(writable=False))
    assert found is None or any(name.lower() == "reporting-mta" for name, _ in found)
    response = body.decode("utf-8", "surrogateescape")
    for action in delivery_status.Action:
        assert delivery_status.status_of(response, action)[1] == "."
    fields = delivery_status.recipient_fields(response, delivery_status.action_of(response), response, _KNOWN)
    assert delivery_status.rendered(fields).count("\n") == len(fields) - 1


_KNOWN = delivery_status.Known("mx.example", "client.example", "now", "now")
