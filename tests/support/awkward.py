"""Messages as they come in real mail: signed, broken, foreign, huge. All text is invented.

The law: bytes with CRLF line ends unless the point is another one; what a name says is all that is odd about a message.
"""

from __future__ import annotations

import base64
import functools
import subprocess
import tempfile
from pathlib import Path

HEAD = (
    b"Received: from before.example by client.example; Mon, 23 Nov 2026 10:00:00 +0000\r\n"
    b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nFrom: Ann <ann@example.org>\r\nTo: bob@example.com\r\n"
    b"Message-ID: <1@example.org>\r\n"
)
MIME = HEAD + b"MIME-Version: 1.0\r\n"


def _whole(fields: bytes, body: bytes, subject: bytes = b"x", head: bytes = MIME) -> bytes:
    return head + b"Subject: " + subject + b"\r\n" + fields + b"\r\n" + body


def _multi(kind: bytes, boundary: bytes, *parts: bytes, end: bytes = b"--\r\n", before: bytes = b"") -> bytes:
    """A multipart message; each part with its headers and the empty line."""
    body = before + b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return _whole(b'Content-Type: multipart/%s; boundary="%s"\r\n' % (kind, boundary), body + b"--" + boundary + end)


def _encoded(kind: bytes, raw: bytes) -> bytes:
    text = base64.encodebytes(raw).replace(b"\n", b"\r\n")
    return _whole(b"Content-Type: " + kind + b"\r\nContent-Transfer-Encoding: base64\r\n", text)


def _nested(depth: int) -> bytes:
    inner = b"Content-Type: text/plain\r\n\r\ninnermost"
    for level in range(depth):
        mark = b"n%d" % level
        inner = (
            b"Content-Type: multipart/mixed; boundary=" + mark + b"\r\n\r\n--" + mark + b"\r\n" + inner
            + b"\r\n--" + mark + b"--"
        )  # fmt: skip
    return MIME + b"Subject: nested\r\n" + inner + b"\r\n"


@functools.cache
def certificate() -> tuple[bytes, bytes]:
    """A key and its certificate, for S/MIME."""
    with tempfile.TemporaryDirectory() as name:
        key, made = Path(name, "key"), Path(name, "cert")
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Ann", "-days", "30"]
        subprocess.run([*command, "-keyout", key, "-out", made], check=True, capture_output=True)
        return key.read_bytes(), made.read_bytes()


@functools.cache
def smime_signed() -> bytes:
    """multipart/signed as openssl makes it."""
    key, made = certificate()
    with tempfile.TemporaryDirectory() as name:
        Path(name, "key").write_bytes(key)
        Path(name, "cert").write_bytes(made)
        command = ["openssl", "smime", "-sign", "-inkey", f"{name}/key", "-signer", f"{name}/cert", "-text"]
        text = b"Signed text.\r\n\r\n  With spaces at its end.   \r\n"
        out = subprocess.run([*command], input=text, check=True, capture_output=True).stdout
    return HEAD + b"Subject: signed\r\n" + out.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def smime_verifies(raw: bytes) -> bool:
    """Whether the signature of `smime_signed` holds in a message."""
    with tempfile.TemporaryDirectory() as name:
        Path(name, "cert").write_bytes(certificate()[1])
        command = ["openssl", "smime", "-verify", "-noverify", "-CAfile", f"{name}/cert"]
        return subprocess.run(command, input=raw, capture_output=True, check=False).returncode == 0


PLAIN = b"Content-Type: text/plain\r\n\r\n"
HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n"
JAPANESE, ARABIC = "日本語の本文です。\r\n", "مرحبا بالعالم\r\n"

MESSAGES: dict[str, bytes] = {
    "plain": _whole(b"", b"Hello.\r\n", head=HEAD),
    "smime_signed": smime_signed(),
    "pgp_signed": _multi(
        b'signed; micalg=pgp-sha256; protocol="application/pgp-signature"', b"pgp",
        PLAIN + b"- -- \r\nsigned \r\n",
        b"Content-Type: application/pgp-signature; name=signature.asc\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\n"
        b"iQEzBAEBCAAdFiEE\r\n=abcd\r\n-----END PGP SIGNATURE-----\r\n",
    ),
    "format_flowed": _whole(
        b"Content-Type: text/plain; format=flowed; delsp=yes\r\n",
        b"A line that flows \r\non.\r\n From here\r\n-- \r\nme\r\n",
    ),
    "no_terminator": _multi(b"mixed", b"b", PLAIN + b"one", PLAIN + b"two", end=b"\r\n"),
    "boundary_that_never_occurs": _whole(b"Content-Type: multipart/mixed; boundary=nowhere\r\n", b"only text\r\n"),
    "boundary_is_a_prefix": _multi(b"mixed", b"b", PLAIN + b"--bb\r\nnot a boundary\r\n--b-", PLAIN + b"two"),
    "nested_same_boundary": _multi(
        b"mixed", b"b", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ninner\r\n--b--", PLAIN + b"two"
    ),
    "boundary_with_specials": _multi(b"mixed", b"=_(a)+/:?,b'", PLAIN + b"one"),
    "boundary_with_spaces_behind": _multi(b"mixed", b"b", PLAIN + b"one").replace(b"--b\r\n", b"--b  \t\r\n"),
    "preamble_and_epilogue": _multi(
        b"mixed", b"b", PLAIN + b"one", before=b"This is MIME.\r\n\r\n", end=b"--\r\nepilogue\r\n--b\r\nstill\r\n"
    ),
    "empty_parts": _whole(b"Content-Type: multipart/mixed; boundary=b\r\n", b"--b\r\n--b\r\n\r\n--b\r\n\r\n\r\n--b--"),
    "boundary_of_70": _multi(b"mixed", b"x" * 70, PLAIN + b"one"),
    "boundary_of_200": _multi(b"mixed", b"x" * 200, PLAIN + b"one"),
    "tnef": _encoded(b"application/ms-tnef; name=winmail.dat", bytes(range(256)) * 8),
    "calendar": _multi(
        b"alternative", b"cal", PLAIN + b"You are invited.",
        b"Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n"
        b"BEGIN:VEVENT\r\nSUMMARY:Meeting\r\nEND:VEVENT\r\nEND:VCALENDAR",
    ),
    "iso_2022_jp": _whole(b"Content-Type: text/plain; charset=iso-2022-jp\r\n", JAPANESE.encode("iso2022_jp"),
                          b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?="),
    "shift_jis": _whole(b"Content-Type: text/plain; charset=Shift_JIS\r\n", JAPANESE.encode("shift_jis")),
    "japanese_utf8": _encoded(b"text/plain; charset=utf-8", JAPANESE.encode()),
    "arabic_1256": _whole(
        b"Content-Type: text/plain; charset=windows-1256\r\nContent-Transfer-Encoding: quoted-printable\r\n",
        b"".join(b"=%02X" % octet for octet in ARABIC.strip().encode("cp1256")) + b"\r\n",
    ),
    "arabic_utf8": _whole(b"Content-Type: text/plain; charset=utf-8\r\n", ARABIC.encode()),
    "latin1_header": _whole(b"X-Name: caf\xe9\r\n", b"x\r\n", b"gr\xfc\xdfe"),
    "utf8_header": _whole("X-Name: café\r\n".encode(), b"x\r\n", "größe".encode()),
    "rfc2231": _whole(
        b"Content-Type: application/pdf; name*0*=utf-8''caf%C3%A9; name*1=\" menu.pdf\"\r\n"
        b"Content-Disposition: attachment; filename*=utf-8''%E2%82%AC%20rates\r\n", b"%PDF\r\n",
    ),
    "bare_lf": _whole(b"", b"one\ntwo\n\nthree\r\n"),
    "bare_cr": _whole(b"", b"one\rtwo\r\r\nthree\r\n"),
    "nul": _whole(b"", b"one\0two\r\n\0\r\n"),
    "line_of_2000": _whole(b"", b"x" * 2000 + b"\r\nend\r\n"),
    "line_of_20000": _whole(b"", b"word " * 4000 + b"\r\nend\r\n"),
    "no_body": _whole(b"", b""),
    "only_an_empty_line": b"\r\n",
    "no_headers": b"\r\nbody only\r\n",
    "empty_values": _whole(b"X-Empty:\r\nX-White: \t \r\nX-Colon ::\r\n", b"x\r\n"),
    "parts_1000": _multi(b"mixed", b"many", *(PLAIN + b"part %d" % number for number in range(1000))),
    "nested_30": _nested(30),
    "rfc822_twice": _multi(
        b"mixed", b"b",
        b"Content-Type: message/rfc822\r\n\r\n" + HEAD
        + b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntext",
    ),
    "message_partial": _whole(
        b'Content-Type: message/partial; id="a@b"; number=1; total=2\r\n', b"Subject: y\r\n\r\nz\r\n"
    ),
    "bounce": _multi(
        b"report; report-type=delivery-status", b"r", PLAIN + b"It bounced.",
        b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        b"Final-Recipient: rfc822; bob@example.com\r\nAction: failed\r\n",
        b"Content-Type: text/rfc822-headers\r\n\r\nSubject: original\r\n",
    ),
    "digest": _multi(b"digest", b"d", b"\r\nSubject: one\r\n\r\nfirst", b"\r\nSubject: two\r\n\r\nsecond"),
    "related": _multi(
        b'related; type="text/html"', b"rel", HTML + b'<img src="cid:1">',
        b"Content-Type: image/png\r\nContent-ID: <1>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=",
    ),
    "uuencoded": _whole(b"", b"begin 644 a.txt\r\n&:&5L;&\\*\r\n`\r\nend\r\n", head=HEAD),
    "yenc": _whole(b"", b"=ybegin line=128 size=4 name=a\r\n" + bytes(range(128, 256)) + b"\r\n=yend size=4\r\n"),
    "base64_with_junk": _whole(b"Content-Transfer-Encoding: base64\r\n", b"aGVs!!bG8=\r\n\r\n-- \r\nfooter\r\n"),
    "odd_quoted_printable": _whole(
        b"Content-Transfer-Encoding: quoted-printable\r\n", b"a=\r\nb=c3=a9=\r\n\r\n=\r\n=XY = \r\nend=\r\n"
    ),
    "encoded_multipart": _multi(b"mixed", b"b", PLAIN + b"one").replace(
        b"MIME-Version", b"Content-Transfer-Encoding: quoted-printable\r\nMIME-Version", 1
    ),
    "two_content_types": _whole(b"Content-Type: text/plain\r\nContent-Type: text/html\r\n", b"<b>x</b>\r\n"),
    "type_without_subtype": _whole(b"Content-Type: text\r\n", b"x\r\n"),
    "unknown_charset": _whole(b"Content-Type: text/plain; charset=x-klingon\r\n", b"nuqneH \xf8\r\n"),
    "mime_version_comment": _whole(b"", b"x\r\n").replace(b"MIME-Version: 1.0", b"MIME-Version: (made by x) 1.0", 1),
    "long_references": _whole(
        b"References: " + b"\r\n ".join(b"<%060d@example.org>" % n for n in range(120)) + b"\r\n", b"x\r\n"
    ),
    "received_40": b"".join(b"Received: from h%d.example by h\r\n" % n for n in range(40)) + _whole(b"", b"x\r\n"),
    "dots": _whole(b"", b".\r\n..\r\n.dot\r\n. \r\nend\r\n"),
    "white_space_at_line_ends": _whole(b"X-Space: value  \t\r\n", b"one  \r\n\t\r\n \r\nend\r\n"),
    "no_line_end": _whole(b"", b"the last line has none"),
}  # fmt: skip
