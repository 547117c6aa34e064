"""Awkward messages through Postfix: untouched they arrive as without the milter, and one edited header is one header.

What Postfix itself does to a message (bare LF, long lines) is no finding: each message is sent past the milter too, and
what arrives by both ways is compared.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import dkim
import pytest

from support.awkward import MESSAGES, smime_verifies
from support.daemon import Daemon, write
from support.ports import free_port
from support.postfix import PrivatePostfix
from support.sendmail import PrivateSendmail, Unavailable
from support.sink import Sink
from support.smtp_client import SmtpClient

LOOK = """
local function look(msg)
  local part = msg:mime(false)
  while part ~= nil do
    part:content_type() part:header("Subject") part:text() part:raw_match("x") part:body_match("x")
    part = part.thread
  end
  msg:raw() msg:body() msg:text() msg:text_match("x") msg:raw_match("x") msg:address_header("From")
end
"""
POLICIES = {
    "untouched": LOOK + "function mod:validate_data(msg) look(msg) end",
    "each": LOOK + "function mod:validate_data_spool_each_rcpt(msg) look(msg) look(msg:copy()) end",
    "subject": 'function mod:validate_data(msg) msg:header("Subject", "changed") end',
    "added": 'function mod:validate_data(msg) msg:header("X-Added", "1", "append") end',
}
OWN = re.compile(rb"\AReceived: (?:[^\r\n]|\r\n[ \t])*\r\n")


@dataclass
class Ways:
    """mta: asks the milter; past: its port that does not."""

    mta: PrivatePostfix
    past: int
    sink: Sink
    socket: Path

    def through(self, port: int, messages: dict[str, bytes]) -> dict[str, bytes]:
        """What arrives of each message, without Postfix's own Received field."""
        self.sink.messages.clear()
        with SmtpClient(port) as client:
            for name, raw in messages.items():
                ended = raw if raw.endswith(b"\r\n") else raw + b"\r\n"
                stuffed = re.sub(rb"(?m)^\.", b"..", ended)
                assert client.deliver(f"{name}@example.com", message=stuffed).startswith("250 "), name
        self.mta.wait_empty()
        return {message.recipients[0].split("@")[0]: OWN.sub(b"", message.raw) for message in self.sink.messages}


@pytest.fixture(scope="module")
def ways(reachable: Callable[[str], Path]) -> Iterator[Ways]:
    if os.geteuid():
        pytest.skip("a Postfix of one's own needs root")
    directory = reachable("awkward")
    with ExitStack() as stack:
        sink = stack.enter_context(Sink())
        past = free_port()
        main = {"local_header_rewrite_clients": "", "header_size_limit": "200000", "hopcount_limit": "100"}
        lines = [f"127.0.0.1:{past} inet n - n - - smtpd -o smtpd_milters="]
        socket = directory / "m.sock"
        mta = PrivatePostfix(directory / "mta", f"unix:{socket}", 0, sink.port, main, lines)
        yield Ways(stack.enter_context(mta), past, sink, socket)


@pytest.fixture(scope="module")
def plain(ways: Ways) -> dict[str, bytes]:
    """What arrives past the milter."""
    return ways.through(ways.past, MESSAGES)


@pytest.fixture
def policy(request: pytest.FixtureRequest, ways: Ways, tmp_path: Path) -> Iterator[str]:
    with Daemon(write(tmp_path / "d", ways.socket, [POLICIES[request.param]]), tmp_path / "log") as daemon:
        yield request.param
        assert not daemon.errors


@pytest.mark.parametrize("policy", ["untouched", "each"], indirect=True)
def test_untouched(policy: str, ways: Ways, plain: dict[str, bytes]) -> None:
    found = ways.through(ways.mta.smtp_port, MESSAGES)
    assert set(found) == set(plain) == set(MESSAGES)
    assert [name for name in MESSAGES if found[name] != plain[name]] == []
    assert smime_verifies(found["smime_signed"])


@pytest.mark.parametrize("policy", ["subject"], indirect=True)
def test_one_header_is_changed(policy: str, ways: Ways, plain: dict[str, bytes]) -> None:
    found = ways.through(ways.mta.smtp_port, MESSAGES)
    for name in MESSAGES:
        assert fields(found[name]) == changed(fields(plain[name])), name
        assert body(found[name]) == body(plain[name]), name
    assert smime_verifies(found["smime_signed"])


@pytest.mark.parametrize("policy", ["added"], indirect=True)
def test_one_header_is_added(policy: str, ways: Ways, plain: dict[str, bytes]) -> None:
    found = ways.through(ways.mta.smtp_port, MESSAGES)
    for name in MESSAGES:
        assert fields(found[name]) == [*fields(plain[name]), b"X-Added: 1\r\n"], name
        assert body(found[name]) == body(plain[name]), name


@pytest.mark.parametrize("policy", ["untouched"], indirect=True)
def test_signatures_hold(policy: str, ways: Ways, tmp_path: Path) -> None:
    """OpenDKIM verifies what it verifies where there is no milter."""
    if not shutil.which("opendkim"):
        pytest.skip("OpenDKIM is not installed")
    key, config = keys(tmp_path)
    signed = {}
    for name, raw in MESSAGES.items():
        for number, how in enumerate(((b"simple", b"simple"), (b"relaxed", b"relaxed"))):
            with contextlib.suppress(dkim.DKIMException):  # without From, or with fields that dkimpy does not take
                signed[f"{name}.{number}"] = dkim.sign(raw, b"sel", b"example.org", key, canonicalize=how) + raw
    past = verified(ways.through(ways.past, signed), config, tmp_path)
    through = verified(ways.through(ways.mta.smtp_port, signed), config, tmp_path)
    assert through == past
    assert len(past) > 70


def keys(directory: Path) -> tuple[bytes, Path]:
    """A private key and a configuration of OpenDKIM that knows its other half."""
    private = directory / "private.pem"
    subprocess.run(["openssl", "genrsa", "-out", private, "2048"], check=True, capture_output=True)
    command = ["openssl", "rsa", "-in", private, "-pubout", "-outform", "PEM"]
    public = subprocess.run(command, check=True, capture_output=True).stdout
    text = "".join(line for line in public.decode().splitlines() if "-" not in line[:1])
    (directory / "keys").write_text(f"sel._domainkey.example.org v=DKIM1; k=rsa; p={text}\n")
    config = directory / "opendkim.conf"
    config.write_text(f"Mode v\nTestPublicKeys {directory}/keys\n")
    return private.read_bytes(), config


def verified(messages: dict[str, bytes], config: Path, directory: Path) -> set[str]:
    """Names of those whose signature OpenDKIM accepts."""
    found = set()
    for name, raw in messages.items():
        file = directory / "message"
        file.write_bytes(raw.replace(b"\r\n", b"\n"))
        ran = subprocess.run(["opendkim", "-x", config, "-t", file, "-v"], capture_output=True, check=False, timeout=30)
        if b"succeeded" in ran.stdout + ran.stderr:
            found.add(name)
    return found


def fields(raw: bytes) -> list[bytes]:
    """Header fields with their line ends."""
    head = raw if raw.startswith(b"\r\n") else raw.partition(b"\r\n\r\n")[0] + b"\r\n"
    return re.findall(
        rb"[^\r\n](?:[^\r\n]|\r(?!\n)|(?<!\r)\n|\r\n[ \t])*\r\n", b"" if head.startswith(b"\r\n") else head
    )


def body(raw: bytes) -> bytes:
    return raw[2:] if raw.startswith(b"\r\n") else raw.partition(b"\r\n\r\n")[2]


def changed(before: list[bytes]) -> list[bytes]:
    """A subject that is there is replaced by one at the end."""
    rest = [field for field in before if not field.lower().startswith(b"subject:")]
    last = bool(before) and before[-1].lower().startswith(b"subject:")
    return [*(before[:-1] if last else rest), b"Subject: changed\r\n"]


# --- Sendmail ---------------------------------------------------------------------------------------------------------

VARIES = re.compile(rb"(?im)^(?:Received|Message-Id|Date):(?:[^\r\n]|\r\n[ \t])*\r\n")
"""Fields that Sendmail writes or adds itself, with the time or its queue id in them."""
REFUSED = {"bare_lf", "bare_cr", "received_40"}
"""Sendmail answers 421 to the first two, and takes the third for a loop."""


@pytest.mark.parametrize("kind", ["untouched", "subject"])
def test_sendmail(kind: str, tmp_path: Path) -> None:
    """As through Postfix: what arrives by the port with the milter is what arrives by the one without."""
    tmp_path.chmod(0o700)
    socket, past = tmp_path / "m.sock", free_port()
    port = f"DAEMON_OPTIONS(`Name=past, Addr=127.0.0.1, Port={past}, InputMailFilters=')dnl\n"
    messages = {name: raw for name, raw in MESSAGES.items() if name not in REFUSED}
    with ExitStack() as stack:
        sink = stack.enter_context(Sink())
        try:
            mta = PrivateSendmail(tmp_path / "mta", f"local:{socket}", free_port(), sink.port, extra_mc=port)
            stack.enter_context(mta)
        except Unavailable as error:
            pytest.skip(str(error))
        stack.enter_context(Daemon(write(tmp_path / "d", socket, [POLICIES[kind]]), tmp_path / "log"))
        arrived = []
        for number in (past, mta.smtp_port):
            sink.messages.clear()
            for name, raw in messages.items():
                stuffed = re.sub(rb"(?m)^\.", b"..", raw if raw.endswith(b"\r\n") else raw + b"\r\n")
                with SmtpClient(number) as client:  # after 20 messages on one connection Sendmail makes a client wait
                    assert client.deliver(f"{name}@example.com", message=stuffed).startswith("250 "), name
            found = {each.recipients[0].split("@")[0]: each.raw for each in sink.wait(len(messages), 60)}
            arrived.append(found)
    plain, through = arrived
    for name in messages:
        before, after = (VARIES.sub(b"", raw) for raw in (plain[name], through[name]))
        if kind == "subject":
            assert body(after) == body(before), name
            assert sorted(fields(after)) == sorted(changed(fields(before))), name
        else:
            assert after == before, name
