"""A virus through Postfix: refused by its name, in an attachment and in a message too long for memory; others pass."""

from __future__ import annotations

import base64
import smtplib
import tempfile
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from support.clamd import EICAR, Clamd, clamd
from support.site import PostfixSite, Serve

CONFIG = """
[limits]
memory_body = "64K"

[[scanner]]
name = "clamav"
kind = "clamd"
servers = ["{0.unix}", "{0.tcp}"]
timeout = 60
"""
POLICY = """
require("msys.av")
function mod:validate_data(msg, ac, vctx)
  local status, name = msys.av.scan("clamav", msg, vctx)
  if status == msys.av.EC_AV_INFECTED then
    vctx:set_code(550, "5.7.1 this message contains " .. name)
  elseif status ~= msys.av.EC_AV_CLEAN then
    vctx:set_code(451, "4.7.1 not scanned: " .. name)
  end
end
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Clamd]:
    with tempfile.TemporaryDirectory(prefix="lumilter-clamd-", dir="/tmp") as name, clamd(Path(name)) as made:
        yield made


def send(site: PostfixSite, message: EmailMessage) -> str:
    """The answer to the message."""
    with site.smtp() as client:
        try:
            client.send_message(message, "ann@x.example", ["bob@y.example"])
        except smtplib.SMTPDataError as error:
            assert isinstance(error.smtp_error, bytes)
            return f"{error.smtp_code} {error.smtp_error.decode()}"
    return "250"


def message(attached: bytes = b"") -> EmailMessage:
    made = EmailMessage()
    made["Subject"] = "hello"
    made["From"] = "ann@x.example"
    made.set_content("text\n")
    if attached:
        made.add_attachment(attached, maintype="application", subtype="octet-stream", filename="a.bin")
    return made


def test_a_virus_is_refused_and_other_mail_passes(site: PostfixSite, serve: Serve, engine: Clamd) -> None:
    serve(POLICY, CONFIG.format(engine))
    filler = base64.b64encode(bytes(range(256))) * 600  # longer than memory_body
    refused = "550 5.7.1 this message contains Test.EICAR.UNOFFICIAL"
    assert send(site, message()) == "250"
    assert send(site, message(EICAR)) == refused
    assert send(site, message(filler + EICAR)) == refused
    assert send(site, message(filler)) == "250"
    assert [b"a.bin" in each.raw for each in site.arrived()] == [False, True]


def test_without_the_engine_mail_is_put_off(site: PostfixSite, serve: Serve, tmp_path: Path) -> None:
    serve(POLICY, CONFIG.replace('"{0.unix}", "{0.tcp}"', f'"unix:{tmp_path}/none"'))
    assert send(site, message()) == f"451 4.7.1 not scanned: clamav at unix:{tmp_path}/none: No such file or directory"
