"""session: addresses, header fields, encoded words, macros, MIME pieces, the diff, replies: all from hostile mail."""

from __future__ import annotations

import re

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import BYTES, FROM_MTA, TEXT, soup
from lumilter.cli.eml import read_message
from lumilter.errors import LumilterError
from lumilter.session import rfc2047
from lumilter.session.address import COMPONENTS, Path, addresses
from lumilter.session.apply import apply
from lumilter.session.diff import content_edits
from lumilter.session.headers import Header, HeaderList
from lumilter.session.macro_pieces import piece
from lumilter.session.macros import expand
from lumilter.session.message import Message

# --- addresses --------------------------------------------------------------------------------------------------------

PARTS = [
    "a",
    "b+c",
    "example.com",
    "@",
    "@x,@y:",
    "<",
    ">",
    "(",
    ")",
    "(c)",
    '"',
    '"q @ >"',
    "\\",
    '\\"',
    ",",
    ";",
    ":",
    "group:",
    " ",
    "\t",
    "\n ",
    "[1.2.3.4]",
    "[",
    "]",
    ".",
    "Ann",
    "\u00fc",
    "\udce9",
    "\0",
    "=?utf-8?Q?=2C?=",
]


@target(soup(PARTS, 12) | TEXT, examples=500)
def path(text: str) -> None:
    """Any text is a path; one that is sendable is read again as the same, in brackets and without."""
    found = Path.parse(text)
    if found.is_sendable:
        assert Path.parse(found.address) == found
        assert Path.parse(f"<{found.address}>") == found


@target(soup(PARTS) | TEXT, st.sampled_from(COMPONENTS), examples=500)
def address_list(text: str, component: str) -> None:
    """Any text is a list of addresses, as many whatever is asked of them, and none is empty."""
    found = addresses(text, "all")
    assert len(addresses(text, component)) == len(found)
    assert all(found)


LOCAL = st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,8}(\.[a-z0-9]{1,4})?", fullmatch=True) | st.text(
    'ab @<>,;:\\"().', min_size=1, max_size=6
).map(lambda text: '"' + re.sub(r'(["\\])', r"\\\1", text) + '"')
MAILBOX = st.tuples(LOCAL, st.sampled_from(["x.example", "[192.0.2.1]", "a-b.test"])).map("@".join)
NAME = st.sampled_from(["", "Ann ", '"Ann, \\"A\\" <a@b>" ', "Ann (x@y, <z>) ", "=?utf-8?Q?=2C?= ", "(c (d) e) "])
ENTRY = st.tuples(MAILBOX, NAME, st.sampled_from(["<{}>", "< {} >", "<@r.test,@s.test:{}>", "<{}> (c)"])).map(
    lambda t: (t[1] + t[2].format(t[0]), [t[0]])
) | MAILBOX.map(lambda mailbox: (mailbox, [mailbox]))
GROUP = st.tuples(st.sampled_from(["Team", '"A, B"', "un (c)"]), st.lists(ENTRY, max_size=3)).map(
    lambda t: (f"{t[0]}: {', '.join(text for text, _ in t[1])};", [each for _, found in t[1] for each in found])
)


@target(st.lists(ENTRY | GROUP, max_size=6), st.sampled_from([", ", ",", " ,\n\t"]), examples=300)
def address_list_round_trip(entries: list[tuple[str, list[str]]], comma: str) -> None:
    """Addresses that were written by RFC 5322, with names, comments, routes and groups, are found, and no other."""
    text = comma.join(written for written, _ in entries).replace("\n", "")
    assert addresses(text, "all") == [each for _, found in entries for each in found], text


# --- header fields ----------------------------------------------------------------------------------------------------

FIELDS = st.lists(
    st.tuples(
        st.sampled_from([b"From", b"FROM", b"Subject", b"X", b"x", b"Received", b"X-\xe9", b"!"]),
        BYTES.map(lambda raw: re.sub(rb"[\r\n\0]+", b"\n ", raw))
        | st.sampled_from([b"", b" ", b" =?utf-8?Q?=C3=A9?=\n\tx"]),
    ),
    max_size=6,
)
NAMES = st.sampled_from(
    ["From", "from", "X", "X-New", "Subject", "Received", "X-\u00e9", "", "a b", "a:", "a\n", "\udce9", "\0"]
)
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["append", "prepend", "replace", "delete"]), NAMES, st.lists(TEXT, min_size=1, max_size=2)
    ),
    max_size=6,
)


def perform(headers: HeaderList, operations: list[tuple[str, str, list[str]]]) -> None:
    for kind, name, values in operations:
        try:
            headers.delete(name) if kind == "delete" else getattr(headers, kind)(name, values)
        except LumilterError:
            assert not re.fullmatch("[!-9;-~]+", name)


@target(FIELDS, OPERATIONS, examples=400)
def fields(received: list[tuple[bytes, bytes]], operations: list[tuple[str, str, list[str]]]) -> None:
    """What a script sets stays in its field: written and read again, there are as many fields as before, in ASCII."""
    headers = HeaderList(Header(name, value) for name, value in received)
    original = set(map(id, headers))
    perform(headers, operations)
    written = headers.to_bytes()
    assert headers.size == len(written)
    for field in headers:
        if id(field) not in original:
            assert field.value.isascii()
            assert re.fullmatch(rb"(?:[\t\x20-\x7e]|\n(?=[\t ][\t ]*[!-~]))*", field.value), field.value
    if all(name.isascii() for name, _ in received):
        read, body = read_message(written + b"\r\nbody")
        assert body == b"body"
        assert [(n, v) for n, v in read] == [(field.name, field.value) for field in headers]


@target(FIELDS, OPERATIONS, BYTES, BYTES, st.booleans(), examples=400)
def diff(
    received: list[tuple[bytes, bytes]],
    operations: list[tuple[str, str, list[str]]],
    body: bytes,
    new_body: bytes,
    renumber: bool,
) -> None:
    """The edits, made by an MTA of either kind, turn the received message into the one that the script made."""
    original = HeaderList(Header(name, value) for name, value in received)
    edited = Message(original.copy(), new_body, "", "")
    perform(edited.headers, operations)
    edits = content_edits(original, body, edited)
    headers, after, *_ = apply(received, body, "", [], edits, renumber)
    assert headers == [(field.name, field.value) for field in edited.headers]
    assert after == new_body


# --- encoded words ----------------------------------------------------------------------------------------------------

WORDS = [
    "=?utf-8?Q?",
    "=?UTF-8?b?",
    "=?iso-8859-1?Q?",
    "=?utf-7?Q?",
    "=?gb2312?B?",
    "=?x?",
    "=?",
    "?=",
    "=C3=A9",
    "=C3",
    "=E9",
    "=",
    "?",
    "_",
    "w6k=",
    "w6k",
    "+2D0-",
    " ",
    "\n ",
    "text",
    "*en",
    "=?utf-8*en?Q?a?=",
    "=?utf-8?Q?a?=",
    "=?iso-2022-jp?B?GyRC?=",
    "=?idna?Q?a?=",
    "=?hz?Q?~{?=",
    "=?utf-16?B?2AA=?=",
]


@target(soup(WORDS).map(lambda text: text.encode("utf-8", "replace")) | BYTES, examples=500)
def decoding(value: bytes) -> None:
    """Any bytes decode, to text that can be written as UTF-8 again."""
    rfc2047.decode(value).encode("utf-8", "surrogateescape")


@target(
    soup([*WORDS, "\u00e9", "\U0001f600", '"', "\u00fcber", "a" * 70], 20) | FROM_MTA, st.integers(0, 100), examples=500
)
def encoding(text: str, column: int) -> None:
    """Any text encodes to ASCII, in encoded words of 75 octets at most, and decodes to the same text.

    White space at line breaks is folding, which is not kept; neither are lone surrogates that stand for no byte.
    """
    text = re.sub(r"[\0-\x08\x0b-\x1f\x7f\n]", "", text)
    raw = rfc2047.encode(text, column)
    assert raw.isascii()
    if "=?" not in text:
        assert all(len(word) <= 75 for word in re.findall(rb"=\?[^ \n]*\?=", raw))
    if re.search("[ \t]{2}|\t", text):
        return
    decoded = Header(b"X", b" " + raw).text
    expected = re.sub("[\ud800-\udc7f\udd00-\udfff]", "?", text).encode("utf-8", "surrogateescape")
    assert decoded == expected.decode("utf-8", "surrogateescape").strip(" "), raw


# --- macros and pieces ------------------------------------------------------------------------------------------------


class Source:
    """What macros are taken from, every value hostile."""

    def __init__(self, value: str, headers: bytes, body: bytes) -> None:
        self.conn = self.mess = {"key": value, "": value, "d": value}
        self.sender = self.helo = self.client_ip = self.client_name = self.domain = self.receiver = value
        self.now = 1_780_000_000
        self._content = headers, body

    def content(self) -> tuple[bytes, bytes]:
        return self._content


MACROS = [
    "%",
    "%%",
    "%{",
    "}",
    "%{s}",
    "%{l1r-}",
    "%{D0}",
    "%{i}",
    "%{ir}",
    "%{v}.",
    "%{p}",
    "%{t}",
    "%{h9999999999999r+-.,/_=}",
    "%{spfv1:S}",
    "%vctx_conn{key}",
    "%vctx_mess{",
    "%{vctx_conn:key}",
    "%{vctx_conn:}",
    "%{rfc822:date}",
    "%{rfc2822:body,3b}",
    "%{rfc2822:text,1,2}",
    "%{rfc2822:part,1}",
    "%{key}",
    "%{\u0663}",
    "%{s\u0663}",
    "%{body}",
    "%{rfc2822:message,\u0663}",
    "%{rfc2822:message,99999999999999999999999}",
]
ADDRESSES = st.sampled_from(
    ["", "a@b", "@", "a@", "@b", "1.2.3.4", "::1", "::ffff:1.2.3.4", "fe80::1%eth0", "%{s}", "1.2.3", "a@b@c"]
)


@target(soup(MACROS, 12), FROM_MTA | ADDRESSES, BYTES, BYTES, examples=400)
def macros(text: str, value: str, headers: bytes, body: bytes) -> None:
    """Any text expands, and what a client said is never taken for a macro."""
    expanded = expand(text, Source(value, headers, body))
    if "%" not in text:
        assert expanded == text
    if "%" not in value and b"%" not in headers + body and not re.search("%{(spfv1:)?[SLODIPHVCTR]", text):
        assert expanded.count("%") <= text.count("%")


MIME = [
    "Content-Type: multipart/mixed; boundary=b\r\n",
    'Content-Type: multipart/x; boundary="b"\r\n',
    "Content-Type: text/plain; charset=utf-7\r\n",
    'content-type : text/html; CHARSET = "iso-8859-1"\r\n',
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "Content-Type: multipart/mixed;\r\n boundary=c\r\n",
    "\r\n",
    "\n",
    "\r",
    "--b\r\n",
    "--b--\r\n",
    "--c\r\n",
    "--c--\n",
    "--b \t\r\n",
    "text\r\n",
    "w6k=\r\n",
    "=C3=A9=\r\n",
    "Content-Type: text/plain; charset=zlib\r\n",
    "Content-Type: text/plain; charset=../x\r\n",
    ";boundary=",
    'charset="\\""',
    ":",
    " folded\r\n",
]
WANTED = st.sampled_from(
    [
        "message",
        "headers",
        "body",
        "body,3",
        "body,3b",
        "message,0",
        "part,1",
        "part,2",
        "part,99",
        "text",
        "text,1",
        "text,1,1",
        "text,2,0",
        "part,0",
        "x",
        "",
    ]
)


@target(soup(MIME, 4), soup(MIME, 20), WANTED, examples=500)
def pieces(headers: str, body: str, wanted: str) -> None:
    """Any bytes are a message whose pieces are text; a piece that is not empty ends with CRLF."""
    content = headers.encode("utf-8", "replace"), body.encode("utf-8", "replace")
    found = piece(wanted, lambda: content)
    if found is None:
        assert wanted in ("x", "")
    else:
        found.encode("utf-8", "surrogateescape")
        assert not found or found.endswith("\r\n")
