"""Scripts of random edits: what `lumilter test` says would be delivered is what Postfix and Sendmail deliver.

The scripts are the same in every run; a line that fails is no edit, in both.
"""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from lumilter.cli import main
from support.sink import Received
from support.site import PostfixSite, Serve, Site
from support.smtp_client import SmtpClient

SCRIPTS = 60
EDITS = (
    'msg:header("Subject", "changed %d")',
    'msg:header("X-%d", {"a", "b"}, "append")',
    'msg:header("X-Top-%d", "top", "prepend")',
    'msg:header("X-Multi", "")',
    'msg:header("Received", "")',
    'msg:header("X-Multi", "one of %d")',
    'msg:header("Content-Type", "text/plain; charset=utf-8; n=%d")',
    'msg:body("new body %d\\r\\n.\\r\\n")',
    'msg:body(msg:body() .. "\\r\\nmore %d\\r\\n.\\r\\n")',
    'msg:text("text \\195\\164 %d", "text/plain", "iso-8859-1")',
    'msg:text_replace("(o+)", "<$1-%d>")',
    'msg:body_replace("(?i)one", "ONE%d")',
    'msg:raw_replace("X-Multi: ", "X-Multi-%d: ")',
    'msg:mime(false):addLastChild(msg:makePart("text/plain", "part %d"))',
    'msg:mime(false).parts:unlink()',
    'msg:mime(false).parts:header("X-Part", "%d")',
    'msg:mime(false).parts.next:text("\\226\\130\\172 %d")',
    'msg:raw("Subject: raw %d\\r\\n\\r\\nraw body\\r\\n")',
    'msg:mailfrom("sender%d@example.org")',
)  # fmt: skip

MESSAGE = (
    b"Received: from a.example by b.example; Mon, 23 Nov 2026 10:00:00 +0000\r\n"
    b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nFrom: ann@example.org\r\nMessage-ID: <1@example.org>\r\n"
    b"X-Multi: one\r\nSubject: before\r\nx-multi: two\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\none two foo\r\n"
    b"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+Zm9vPC9iPg0K\r\n--b--\r\n"
)
OWN = re.compile(rb"\AReceived: (?:[^\r\n]|\r\n[ \t])*\r\n")


@functools.cache
def edits() -> list[list[str]]:
    """The lines of each script."""
    chance = random.Random(20261123)
    return [[chance.choice(EDITS) for _ in range(chance.randint(1, 6))] for _ in range(SCRIPTS)]


def policy() -> str:
    functions = []
    for number, lines in enumerate(edits()):
        calls = [f"  pcall(function() {line % number if '%d' in line else line} end)" for line in lines]
        functions.append(f"scripts[{number}] = function(msg)\n" + "\n".join(calls) + "\nend")
    return (
        'require("msys.extended.message")\nlocal scripts = {}\n'
        + "\n".join(functions)
        + '\nfunction mod:validate_data(msg) scripts[tonumber(msg:rcptto():match("%d+"))](msg) end\n'
    )


def said(directory: Path, text: str, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    """What `lumilter test` says about each script's message, by recipient."""
    script, message = directory / "policy.lua", directory / "message"
    script.write_text(f"local mod = {{}}\n{text}\nmsys.registerModule('policy', mod)\n")
    message.write_bytes(MESSAGE)
    told = {}
    for number in range(SCRIPTS):
        recipient = f"script{number}@example.com"
        options = ["-s", str(script), "-f", "ann@example.org", "-r", recipient, str(message)]
        assert main(["test", "--json", *options]) == 0
        (told[recipient],) = json.loads(capsys.readouterr().out)["messages"]
    return told


def compare(told: dict[str, dict[str, str]], messages: list[Received], seen: Callable[[str, bytes], object]) -> None:
    """seen: what is compared of a recipient's message."""
    arrived = {each.recipients[0]: each for each in messages}
    assert len(arrived) == SCRIPTS
    different = 0
    for recipient, one in told.items():
        ours = one["raw"].encode("utf-8", "surrogateescape")
        theirs = with_own_fields(OWN.sub(b"", arrived[recipient].raw), ours)
        assert seen(recipient, theirs) == seen(recipient, ours), recipient
        assert arrived[recipient].sender == one["sender"]
        different += ours != MESSAGE
    assert different > SCRIPTS * 3 // 4


def as_sendmail_has_it(recipient: str, raw: bytes) -> object:
    """Without what is Sendmail's own doing: the end of a multipart that lacks it, and where an inserted header goes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    number = int("".join(filter(str.isdigit, recipient)))
    fields: Iterable[bytes] = re.split(rb"\r\n(?![ \t])", head)
    if "msg:raw" in "".join(edits()[number]):  # headers between others
        fields = sorted(fields)
    return list(fields), body.removesuffix(b"--b--\r\n")


def test_what_is_said_is_what_arrives(
    site: PostfixSite, serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = policy()
    told = said(tmp_path, text, capsys)
    serve(text)
    with SmtpClient(site.port) as client:
        for recipient in told:
            assert client.deliver(recipient, message=MESSAGE).startswith("250 ")
    compare(told, site.arrived(), lambda recipient, raw: raw)


def test_sendmail(sendmail: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = policy()
    told = said(tmp_path, text, capsys)
    sendmail.sink.messages.clear()
    with sendmail.serving(tmp_path / "daemon", text) as site:
        for recipient in told:  # after 20 messages on one connection Sendmail makes a client wait
            with SmtpClient(site.port) as client:
                assert client.deliver(recipient, message=MESSAGE).startswith("250 ")
        compare(told, site.sink.wait(SCRIPTS, 60), as_sendmail_has_it)


def with_own_fields(raw: bytes, said: bytes) -> bytes:
    """Without the fields that Postfix adds where a script has removed them."""
    for name in (b"Date", b"From", b"Message-Id"):
        if not re.search(rb"(?im)^%s:" % name, said.partition(b"\r\n\r\n")[0]):
            raw = re.sub(rb"(?m)^%s: .*\r\n" % name, b"", raw, count=1)
    return raw
