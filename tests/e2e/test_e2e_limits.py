"""Limits of connections and recipients by client address, with 50 clients at a time: exactly as many pass as may.

The law: the policy is written as Momentum's default policy documents its tables concurrent_connection_limits and
audit_series; what a client may do is what Postfix told it.
"""

from __future__ import annotations

import smtplib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.daemon import Daemon, write
from support.redis_server import RedisServer
from support.site import PostfixSite, Serve

CLIENTS, CONNECTIONS, RECIPIENTS = 50, 10, 30

POLICY = f"""
    local connections = {{
      {{ check = true, mask = "/32", limit = {CONNECTIONS}, service = "SMTP" }},
      {{ check = true, mask = "/24", limit = 2 * {CONNECTIONS}, service = "SMTP" }},
      {{ check = true, mask = "/0", limit = 20000, service = "SMTP" }},
    }}
    local recipients = {{
      type = "cidr", interval = 900, buckets = 4, options = {{ persist = true }},
      thresholds = {{ {{ check = true, key = "/32", startv = 0, endv = 3, threshold = {RECIPIENTS} }} }},
    }}

    function mod:init()
      local r = recipients
      msys.audit_series.define("recipients", r.type, r.interval, r.buckets, r.options)
      return true
    end

    function mod:validate_connect(ac, vctx)
      for _, each in ipairs(connections) do
        if each.check and ac:inbound_session_count(each.mask, each.service) > each.limit then
          return vctx:pbp_disconnect(421, "connection limit exceeded")
        end
      end
    end

    function mod:validate_rcptto(msg, str, ac, vctx)
      msys.audit_series.add("recipients", ac)
      for _, each in ipairs(recipients.thresholds) do
        local options = {{ key = each.key, startv = each.startv, endv = each.endv }}
        if each.check and msys.audit_series.count("recipients", options) > each.threshold then
          return vctx:pbp_action(452, "recipient limit exceeded")
        end
      end
    end
"""


def admitted(connect: Callable[[int], smtplib.SMTP]) -> tuple[int, int]:
    """50 clients connect at the same time and stay; whoever may names recipients. How many of each there were."""
    everybody = threading.Barrier(CLIENTS, timeout=120)

    def client(number: int) -> tuple[int, int]:
        everybody.wait()
        accepted, passed = 0, False
        smtp = None
        try:
            smtp = connect(number)
            passed = smtp.ehlo()[0] == 250 and smtp.mail("ann@example.org")[0] == 250
        except (smtplib.SMTPException, OSError):  # 421 instead of a banner
            pass
        everybody.wait()
        if passed:
            assert smtp is not None
            codes = [smtp.rcpt(f"bob{n}@example.com")[0] for n in range(CLIENTS // 5)]
            assert set(codes) <= {250, 452}
            accepted = codes.count(250)
        everybody.wait()
        if smtp is not None:
            smtp.close()
        return int(passed), accepted

    with ThreadPoolExecutor(CLIENTS) as pool:
        results = list(pool.map(client, range(CLIENTS)))
    return sum(passed for passed, _ in results), sum(accepted for _, accepted in results)


@pytest.mark.parametrize("workers", [1, 2])
def test_exactly_the_allowed_number_passes(site: PostfixSite, serve: Serve, workers: int) -> None:
    serve(POLICY, f"workers = {workers}\n")
    assert admitted(lambda number: site.smtp(source="127.0.0.2")) == (CONNECTIONS, RECIPIENTS)


@pytest.mark.parametrize("kind", ["redis_server", "valkey_server"])
def test_two_daemons_on_one_redis_allow_that_number_together(
    site: PostfixSite, serve: Serve, tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    redis_server: RedisServer = request.getfixturevalue(kind)
    redis_server.empty()
    shared = (
        "workers = 2\n"
        f'[redis]\nserver = "inet:{redis_server.port}@127.0.0.1"\ntimeout = 10\nshared = ["sessions", "series"]\n'
    )
    serve(POLICY, shared)
    second = write(tmp_path / "second", site.socket.parent / "second.sock", [POLICY], shared)
    ports = site.port, site.ports["second"]

    def connect(number: int) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", ports[number % 2], timeout=60, source_address=("127.0.0.2", 0))

    with Daemon(second, tmp_path / "log") as daemon:
        assert admitted(connect) == (CONNECTIONS, RECIPIENTS)
        assert not daemon.errors


def test_networks_and_addresses_have_limits_of_their_own(site: PostfixSite, serve: Serve) -> None:
    serve(POLICY, "workers = 2\n")
    passed, accepted = admitted(lambda number: site.smtp(source=f"127.0.0.{2 + number % 2}"))
    assert CONNECTIONS <= passed <= 2 * CONNECTIONS
    assert RECIPIENTS <= accepted <= 2 * RECIPIENTS


def test_whoever_is_gone_is_not_counted(site: PostfixSite, serve: Serve) -> None:
    serve(POLICY, "workers = 2\n")
    for _ in range(CONNECTIONS + 5):
        with site.smtp(source="127.0.0.4") as smtp:
            assert smtp.ehlo()[0] == 250
