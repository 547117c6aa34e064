"""docs/routing.md: its configuration and its commands, as they stand there, in a Postfix of the test's own."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.daemon import ENVIRONMENT, Daemon
from support.pages import placed, sections
from support.ports import free_port
from support.postfix import PrivatePostfix
from support.sendmail import PrivateSendmail, Unavailable
from support.sink import Sink
from support.smtp_client import SmtpClient

PAGE = sections("routing.md")
TOML, SCRIPT, CHECK = "/etc/lumilter/lumilter.toml", "postfix-config.sh", "check.sh"
POLICY = """
local mod = {}
require("msys.extended.message_routing")
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  msg:header("X-For", msg:rcptto())
  if msg:rcptto():find("^sms") then msg:routing_domain("sms.example.com") end
end
function mod:validate_set_binding(msg)
  if msg:rcptto():find("^sms") then msg:binding("mta1") end
end
msys.registerModule("policy", mod)
"""
FAILING = POLICY.replace('if msg:rcptto():find("^sms") then', "do")


@pytest.fixture
def places(place: Path) -> dict[str, str]:
    return {
        "/etc/lumilter": f"{place}/etc",
        "/etc/postfix/lumilter": f"{place}/tables",
        "/etc/postfix": f"{place}/mta/etc",
        "/var/lib/lumilter": f"{place}/var",
        "10026": str(free_port()),
    }


def daemon(directory: Path, socket: Path, places: dict[str, str], policy: str) -> Daemon:
    """With the page's configuration."""
    etc = directory / "etc"
    etc.mkdir()
    (etc / "policy.lua").write_text(policy)
    milter = f'[milter]\nsocket = "unix:{socket}"\nsocket_mode = "0666"\n'
    script = '[[script]]\nname = "policy"\nsource = "policy.lua"\n'
    (etc / "lumilter.toml").write_text(milter + placed(PAGE["What to configure"][TOML], places) + script)
    return Daemon(etc / "lumilter.toml", directory / "log")


def shell(text: str, places: dict[str, str], directory: Path) -> str:
    """What the commands of a block print; nothing of it is a warning. The `lumilter` in `directory` is theirs."""
    environment = ENVIRONMENT | {"PATH": f"{directory}:{os.environ['PATH']}:/usr/sbin"}
    done = subprocess.run(
        ["sh", "-eu", "-c", placed(text, places)],
        check=True,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "warning" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def test_the_page(place: Path, places: dict[str, str], stack: ExitStack) -> None:
    if os.geteuid():
        pytest.skip("a Postfix of one's own needs root")
    sink, sms = stack.enter_context(Sink()), stack.enter_context(Sink())
    places["[192.0.2.30]:2525"] = f"[127.0.0.1]:{sms.port}"
    socket = place / "m.sock"
    mta = stack.enter_context(PrivatePostfix(place / "mta", f"unix:{socket}", 0, sink.port, {}, []))
    running = stack.enter_context(daemon(place, socket, places, POLICY))
    commands = place / "lumilter"
    commands.write_text(f'#!/bin/sh\nexec {sys.executable} -m lumilter "$@"\n')
    commands.chmod(commands.stat().st_mode | stat.S_IXUSR)
    etc = f"-c {place}/mta/etc"
    places |= {"postfix reload": f"postfix {etc} reload", "postfix check": f"postfix {etc} check"}
    places |= {"postconf": f"postconf {etc}", "postmap": f"postmap {etc}"}
    shell(PAGE["What to configure"][SCRIPT], places, place)
    checked = shell(PAGE["How to check"][CHECK], places, place)
    assert f"127.0.0.1:{places['10026']} inet" in checked
    assert "binding-mta1 unix" in checked
    assert "\n    -o smtp_bind_address=127.0.0.2\n" in checked
    assert checked.endswith(PAGE["How to check"]["X-Lumilter-Route"])
    with SmtpClient(mta.smtp_port) as client:
        assert client.deliver("sms@example.com", "bob@example.com").startswith("250 ")
    mta.wait_empty()
    (routed,) = sms.messages
    assert (routed.recipients, routed.peer, routed.helo) == (("sms@example.com",), "127.0.0.2", "mta1.example.com")
    (plain,) = sink.messages
    assert (plain.recipients, plain.values(b"X-For")) == (("bob@example.com",), [b"bob@example.com"])
    assert not any(b"lumilter-route" in each.raw.lower() for each in (routed, plain))
    assert not running.errors
    log = mta.maillog()
    assert re.search(r"(milter-header-)?filter: header X-Lumilter-Route: binding-mta1:", log)
    assert "postfix/lumilter-inject/smtpd" in log
    assert "postfix/binding-mta1/smtp" in log


def test_sendmail(place: Path, places: dict[str, str], stack: ExitStack) -> None:
    """What parts ways goes by the page's port; a binding is an error that says so."""
    assert "InputMailFilters=" in PAGE["Sendmail"]["sendmail.mc"]
    sink = stack.enter_context(Sink())
    place.chmod(0o700)
    socket = place / "m.sock"
    try:
        mta = stack.enter_context(
            PrivateSendmail(
                place / "mta", f"local:{socket}", free_port(), sink.port,
                extra_mc=placed(PAGE["Sendmail"]["sendmail.mc"], places),
            )
        )  # fmt: skip
    except Unavailable as error:
        pytest.skip(str(error))
    (place / "split").mkdir()
    with daemon(place / "split", socket, places, POLICY.replace("^sms", "^none")):
        with SmtpClient(mta.smtp_port) as client:
            assert client.deliver("a@example.com", "b@example.com").startswith("250 ")
        arrived = sink.wait(2)
    assert {each.recipients: each.values(b"X-For") for each in arrived} == {
        ("a@example.com",): [b"a@example.com"], ("b@example.com",): [b"b@example.com"],
    }  # fmt: skip
    (place / "routed").mkdir()
    with daemon(place / "routed", socket, places, FAILING) as running:
        with SmtpClient(mta.smtp_port) as client:
            assert client.deliver("a@example.com").startswith("451 ")
        assert "only Postfix can be told where a message is to leave" in running.log
