"""A policy for engines that can't be had any more, on rspamd, SpamAssassin and ClamAV as they are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lumilter.adapters.dns import FixtureResolver
from lumilter.config.address import SocketAddress
from lumilter.host.tasks import Limits
from lumilter.services import Services
from support.clamd import EICAR, clamd
from support.filters import SPAM, rspamd, spamd
from support.policy import policy
from support.scanners import scanner, serving

POLICY = """
    require("msys.brightmail") require("msys.symantec_beik") require("msys.cloudmark") require("msys.commtouch")
    require("msys.expurgate") require("msys.spamc")
    function mod:validate_data(msg, ac, vctx)
      local verdict, is_default = msys.brightmail.scan(msg, ac, vctx)
      local _, destination = msys.symantec_beik.scan(msg, vctx)
      local scored = msys.cloudmark.score(msg, ac, vctx)
      local diagnosis = msys.commtouch.diagnose(msg, ac, vctx)
      local _, _, major, minor = msys.expurgate.scan(msg, ac, vctx)
      msys.spamc.spamc_scan(msg)
      print(verdict, is_default, destination, scored.is_spam, scored.score > 80, diagnosis.class, major .. "/" .. minor,
        vctx:get(msys.core.VCTX_MESS, "spamc_spam"))
    end
"""
WANTED = "inbox\ttrue\tinbox\tnil\tfalse\tUnknown\tclean/normal\tfalse"
UNWANTED = "spam\tfalse\tis-spam\ttrue\ttrue\tSpam\tspam/normal\ttrue"
VIRUS = "spam\tfalse\tis-spam\ttrue\ttrue\tUnknown\tdangerous/virus\ttrue"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, SocketAddress]]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lumilter-peers-", dir="/tmp")))
        for name in ("rspamd", "spamd", "clamd"):
            (directory / name).mkdir()
        directory.chmod(0o755)
        yield {
            "rspamd": stack.enter_context(rspamd(directory / "rspamd")),
            "spamd": stack.enter_context(spamd(directory / "spamd")),
            "clamd": stack.enter_context(clamd(directory / "clamd")).unix,
        }


@pytest.mark.parametrize("kind", ["rspamd", "spamd", "clamd"])
def test_a_policy_for_other_engines(servers: dict[str, SocketAddress], tmp_path: Path, kind: str) -> None:
    scanners = serving(scanner(kind, [servers[kind]], timeout=60), minimum_score=80)
    services = Services(FixtureResolver({}), hostname="mx.example.com", scanners=scanners)
    with policy(tmp_path, POLICY, services=services, limits=Limits(20_000_000, 100)) as running:
        running.send(body=b"words\r\n")
        running.send(body=SPAM + b"\r\n")
        running.send(body=EICAR + b"\r\n")
    assert not running.errors
    assert running.printed == [WANTED, *((WANTED, VIRUS) if kind == "clamd" else (UNWANTED, WANTED))]
