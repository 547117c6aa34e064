"""Input that is hostile to a parser's running time, of any size.

The law: a unit that is repeated, and what stands before and after; `growth` says what is made of it.
"""

from __future__ import annotations

from collections.abc import Callable

from fuzz.growth import Growth
from fuzz.targets.session import Source
from lumilter.adapters import pcre, xml
from lumilter.adapters.dns_names import host_and_port
from lumilter.adapters.dns_question import question
from lumilter.api.message_building import attachment
from lumilter.cli.eml import read_message
from lumilter.config.address import SocketAddress
from lumilter.config.stanza import parse
from lumilter.daemon.printable import one_line
from lumilter.host.dialect import translate
from lumilter.session import rfc2047, verdict
from lumilter.session.address import Path, addresses
from lumilter.session.diff import content_edits
from lumilter.session.headers import Header, HeaderList
from lumilter.session.macro_pieces import piece
from lumilter.session.macros import expand
from lumilter.session.message import Message
from lumilter.session.steps import RunHook
from lumilter.session.strings import EcString
from lumilter.wire import reply as wire_reply
from lumilter.wire.packets import Framer
from lumilter.wire.stages import Stages
from support.drive import Drive


def text(unit: str, before: str = "", after: str = "") -> Callable[[int], str]:
    return lambda size: before + unit * (size // len(unit)) + after


def raw(unit: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + unit * (size // len(unit)) + after


def content(headers: bytes, body: bytes, before: bytes = b"") -> Callable[[int], tuple[bytes, bytes]]:
    """Half of the size of each."""
    return lambda size: (
        before + headers * (size // 2 // max(1, len(headers))),
        body * (size // 2 // max(1, len(body))),
    )


def numbered(attribute: bytes) -> Callable[[int], bytes]:
    """An element with that attribute again and again, numbered."""
    return lambda size: b"<a %s/>" % b" ".join(attribute % n for n in range(size // (len(attribute) + 4)))


def edited(size: int) -> tuple[HeaderList, Message]:
    """Fields of few names, every other one changed, as many put before and behind."""
    original = HeaderList(Header(b"X%d" % (at % 3), b" %d" % at) for at in range(size // 10))
    kept = [field for at, field in enumerate(original) if at % 2]
    new = [Header(field.name, field.value + b"!") for field in kept]
    return original, Message(HeaderList([*new, *kept, *reversed(new)]), b"", "", "")


def pieces_of(wanted: str) -> Callable[[tuple[bytes, bytes]], object]:
    return lambda made: piece(wanted, lambda: made)


def framed(stream: bytes) -> None:
    framer = Framer()
    for at in range(0, len(stream), 100):
        framer.feed(stream[at : at + 100])


def recipients(count: int) -> None:
    """A transaction for so many, all of whom a script replaces."""
    drive = Drive("validate_data")
    addresses = [f"{number}@x" for number in range(count)]

    def replace(request: RunHook) -> None:
        drive.session.recipients.remove(*addresses)
        drive.session.recipients.add(*(f"new-{address}" for address in addresses))

    drive.decide = lambda request: replace(request) if request.hook.name == "validate_data" else None
    drive.message(*addresses)


MULTIPART = b"Content-Type: multipart/mixed; boundary=b\r\n"
GROWTHS: list[Growth] = [
    *(
        Growth(f"translate {name}", lambda source: translate(source, "x"), make)
        for name, make in {
            "digits": raw(b"1", b"x = ", b"z"), "octal": raw(b"7", b"x = 0"), "dots": raw(b".", b"x = 1"),
            "parentheses": raw(b"("),
            "tables": raw(b"{"), "minus": raw(b"-", b"x ="), "not": raw(b"!", b"x ="), "chain": raw(b"|1", b"x = 1"),
            "quotes": raw(b'"'),
            "escapes": raw(b"\\n", b'x = "', b'"'), "open string": raw(b"\\n", b'x = "'),
            "many strings": raw(b"x='\\a' "), "long": raw(b"["),
            "level": raw(b"=", b"x = ["), "long comment": raw(b"--[["), "long ends": raw(b"]=]", b"x = [==["),
            "comments": raw(b"--\n"), "comment": raw(b"--[=\n"),
            "lines": raw(b"\r\n"), "blank": raw(b" "), "blank lines": raw(b"\n\r"), "names": raw(b"a "),
            "name": raw(b"a"), "calls": raw(b"()", b"f"),
            "indices": raw(b".a", b"x = a"), "strings": raw(b"'a'", b"f"), "assignments": raw(b"a=a|1 "),
            "elseif": raw(b"elseif a then ", b"if a then "),
            "commas": raw(b",a", b"x = a"), "functions": raw(b"function f(...) return arg end "),
            "loops": raw(b"for i in a do end "), "odd": raw(b"\0"),
            "hex": raw(b"F", b"x = 0x"), "exponent": raw(b"1", b"x = 1e"), "unicode": raw(b"\\u0041", b'x = "', b'"'),
            "binary": raw(b"a!=1 and ", b"x = ", b"1"),
        }.items()
    ),
    *(
        Growth(f"stanza {name}", lambda source: parse(source, "x"), make)
        for name, make in {
            "open": text("{"), "stanzas": text("a{"), "names": text("a "), "quotes": text('"'),
            "escapes": text("\\", '"'), "comment": text("/"), "open comment": text("/*"),
            "comments": text("/**/"), "hashes": text("#"), "options": text("a=b "), "lists": text("(", "a="),
            "closed": text("a{}"), "lines": text("\n"), "stars": text("*", "/*"),
        }.items()
    ),
    Growth("socket address", SocketAddress.parse, text("[", "inet:")),
    Growth("socket address @", SocketAddress.parse, text("@", "inet:1")),
    Growth("socket address host", SocketAddress.parse, text("a.-", "inet:1@")),
    *(
        Growth(f"path {name}", lambda source: Path.parse(source).is_sendable, make)
        for name, make in {
            "quotes": text('"'), "open": text("\\", '"'), "at": text("@"), "angle": text("<"),
            "route": text("@x,", "<"), "backslash quote": text('\\"'), "blank": text(" "),
            "quoted": text('"a"@'),
        }.items()
    ),
    *(
        Growth(f"addresses {name}", lambda source: addresses(source, "all"), make)
        for name, make in {
            "quotes": text('"'), "comments": text("("), "closed": text("()"), "angles": text("<"),
            "colons": text(":"), "at": text("@"), "brackets": text("["),
            "literal": text("a", "["), "backslashes": text("\\"), "mailboxes": text("a@b, "), "groups": text("a:;"),
            "blank": text(" "), "words": text("a "), "dots": text("."),
            "escaped": text("\\(", "("), "routes": text("<@a:"), "open": text('"\\'), "angle words": text("a ", "<"),
            "at words": text("@ a"),
        }.items()
    ),
    *(
        Growth(f"unfolded {name}", lambda value: Header(b"X", value).text, make)
        for name, make in {
            "blank": raw(b" "), "tabs": raw(b"\t"), "folds": raw(b"\n "), "breaks": raw(b"\r"),
            "words": raw(b"=?utf-8?Q?a?= "), "empty words": raw(b"=?x?q??="),
            "other words": raw(b"=?utf-8?Q?a?==?latin1?Q?a?="), "open": raw(b"=?"), "star": raw(b"*", b"=?a"),
            "charset": raw(b"a", b"=?"), "text": raw(b"x", b"=?a?q?"),
            "base64": raw(b"A", b"=?a?b?", b"?="), "bad base64": raw(b"=?a?b?A?= "),
            "utf7": raw(b"+", b"=?utf-7?q?", b"?="), "questions": raw(b"?", b"=?a?q"), "q": raw(b"=?a?q?"),
            "iso2022": raw(b"=1B$B", b"=?iso-2022-jp?q?", b"?="), "hz": raw(b"~{", b"=?hz?q?", b"?="),
            "language": raw(b"*a", b"=?"),
        }.items()
    ),
    *(
        Growth(f"encode {name}", rfc2047.encode, make)
        for name, make in {
            "words": text("a "), "one": text("\u00e9"), "some": text("\u00e9 a "), "quotes": text('"'),
            "open quote": text("\u00e9 ", '"'), "backslashes": text("\\"), "folds": text("\n \u00e9"),
            "blank": text(" ", "\u00e9", "\u00e9"), "bytes": text("\udce9"), "encoded": text("=?"),
            "emoji": text("\U0001f600"),
        }.items()
    ),
    *(
        Growth(f"set {name}", lambda value: HeaderList().append("X", [value]), make)
        for name, make in {"breaks": text("\n"), "blank": text(" "), "tabs": text("\t"), "words": text("a "),
            "word": text("a"), "controls": text("\0"), "folds": text("\r\n a")}.items()
    ),
    *(
        Growth(f"macros {name}", lambda source: expand(source, Source("a.b@c", b"", b"")), make)
        for name, make in {
            "open": text("%{"), "percent": text("%"), "name": text("a", "%{"), "letters": text("%{s}"),
            "delimiters": text(".", "%{s", "}"), "digits": text("1", "%{s", "}"),
            "variables": text("%vctx_conn{a}"), "open variable": text("%vctx_conn{"), "unknown": text("%{rfc2822:x}"),
            "braces": text("}"),
        }.items()
    ),
    Growth("macro of a long value", lambda value: expand("%{sr-.}%{S}%{i}%{ir}%{C}", Source(value, b"", b"")),
        text(".")),
    *(
        Growth(f"{wanted} of {name}", pieces_of(wanted), make)
        for name, make in {
            "delimiters": content(b"", b"--b\r\n", MULTIPART), "blank delimiters": content(b"", b"--b \t", MULTIPART),
            "blank after": content(b"", b" ", MULTIPART + b"\r\n--b"),
            "dashes": content(b"", b"-", MULTIPART),
            "parts": content(b"", b"--b\r\nContent-Type: multipart/x; boundary=c\r\n\r\n--c\r\n\r\nx\r\n", MULTIPART),
            "same boundary": content(b"", b"--b\r\n" + MULTIPART + b"\r\n", MULTIPART),
            "folds": content(b" \r\n", b"x", b"Content-Type:"), "blank field": content(b" ", b"x", b"Content-Type"),
            "semicolons": content(b";", b"x", b"Content-Type: text/plain"),
            "parameter": content(b"; boundary" + b" " * 70, b"x", b"Content-Type: multipart/x"),
            "fields": content(b"Content-Type\r\n", b"x"),
            "quotes": content(b'\\"', b"x", b'Content-Type: multipart/x; boundary="'), "breaks": content(b"\r", b"\r"),
            "base64": content(b"", b"=", b"Content-Transfer-Encoding: base64\r\n"),
            "quoted-printable": content(b"", b"= \t", b"Content-Transfer-Encoding: quoted-printable\r\n"),
            "utf7": content(b"", b"+A", b"Content-Type: text/plain; charset=utf-7\r\n"),
            "charset": content(b"a", b"x", b"Content-Type: text/plain; charset="),
        }.items()
        for wanted in ("text", "part,1", "body,999999999")
    ),
    *(
        Growth(f"reply {name}", lambda note: wire_reply.text(verdict.reply(550, note)), make)
        for name, make in {"breaks": text("\n"), "code": text("550 "), "codes": text("550 x\n"),
            "status": text("5.7.1 "), "blank": text(" "), "word": text("x"), "digits": text("5"),
            "percent": text("%")}.items()
    ),
    *(
        Growth(f"attachment of {name}", lambda octets: attachment({"content": EcString(octets)}), make)
        for name, make in {"blanks": raw(b" ", b"", b"!"), "blank base64": raw(b"YWJj \n", b"", b"!")}.items()
    ),
    Growth("diff", lambda made: content_edits(made[0], b"", made[1]), edited, 10**5),
    *(
        Growth(f"message {name}", read_message, make)
        for name, make in {
            "folds": raw(b"\n x", b"A: b"), "fields": raw(b"a:b\n"), "blank": raw(b" ", b"a"), "breaks": raw(b"\n\r"),
            "returns": raw(b"\r"), "name": raw(b"a"), "colons": raw(b":")
        }.items()
    ),
    Growth("recipients", recipients, lambda size: size // 10, 10**5),
    Growth("packets", framed, raw(b"\0\0\0\1c")),
    Growth("one packet", framed, lambda size: size.to_bytes(4, "big") + b"L" + b"x" * size),
    Growth("macro packets", lambda payload: Stages().put(payload), raw(b"a\0b\0", b"C")),
    Growth("log line", one_line, text("\u00e9\0")),
    Growth("name", lambda name: question(name, "A"), text("a.")),
    Growth("wide name", lambda name: question(name, "A"), text("\uff0e\u00e9")),
    Growth("server", host_and_port, text("[")),
    Growth("server colons", host_and_port, text(":1")),
    *(
        Growth(f"pcre {name}", lambda made, pattern=pattern: pcre.replace(made, pattern, b"$0$1"), make)
        for name, pattern, make in (
            ("every byte", b"(.)", raw(b"ab")), ("empty", b"", raw(b"ab")), ("empty matches", b"x*", raw(b"ab")),
            ("not UTF-8", b"a", raw(b"a\xff")), ("tail", b"a$", raw(b"a ")),
            ("none", b"x", raw(b"ab")), ("split", b"\\b", raw(b"a b")),
        )
    ),
    Growth("pcre template", lambda made: pcre.replace(b"a" * 10, b"a", made), raw(b"$1${x}\\"), 10**5),
    Growth("xml of many elements", xml.parse, raw(b"<b/>", b"<a>", b"</a>")),
    Growth("xml of deep elements", xml.parse, raw(b"<a>")),
    Growth("xml of many attributes", xml.parse, numbered(b"a%d=''")),
    Growth("xml of many namespaces", xml.parse, numbered(b"xmlns:a%d='b'")),
    Growth("xml of nested entities", xml.parse, raw(b"<!ENTITY a '&a;&a;&a;'>", b"<!DOCTYPE a [", b"]><a>&a;</a>")),
]  # fmt: skip
