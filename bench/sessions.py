"""What a message costs in one process, from the event to the outcome, without a milter socket.

The peer is the same conversation with no script loaded: the difference is what Lua and the Lua thread cost.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lumilter.adapters.dns import FixtureResolver
from lumilter.daemon.engine import Engine, Setup
from lumilter.host.host import Script
from lumilter.services import Services
from lumilter.session.events import Close, Connect, Data, EndOfMessage, Helo, Mail, Rcpt

HOOKS = (
    "mailfrom(str, ac, vctx)",
    "rcptto(msg, str, ac, vctx)",
    "data(msg, ac, vctx)",
    "data_spool_each_rcpt(msg, ac, vctx)",
)
POLICIES = {
    "no script": "",
    "four empty hooks": "".join(f"function mod:validate_{hook} end " for hook in HOOKS),
    "four hooks, ten calls": """
function mod:validate_mailfrom(str, ac, vctx) vctx:set(msys.core.VCTX_CONN, "a", tostring(str)) end
function mod:validate_rcptto(msg, str, ac, vctx)
  if msys.pcre.match(str, "^postmaster@") then vctx:set(msys.core.VCTX_MESS, "b", "1") end
end
function mod:validate_data(msg, ac, vctx)
  local subject = msg:header("Subject")[1]
  if #subject > 100 then vctx:set_code(550, "no") end
  msg:header("X-Seen", vctx:get(msys.core.VCTX_CONN, "a"))
  msg:context_set(msys.core.ECMESS_CTX_MESS, "c", msg:get_message_size())
end
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  local from, to, id = msg:mailfrom(), msg:rcptto(), msg.id
end""",
}
HEADERS = ((b"From", b" a@example.org"), (b"To", b" b@example.com"), (b"Subject", b" Hello")) + (
    (b"X-Filler", b" x"),
) * 17
MESSAGES, ROUNDS = 400, 5


def measure() -> Iterator[tuple[str, float, str]]:
    """The median of some rounds of messages on one connection."""
    for name, policy in POLICIES.items():
        yield f"a message, {name}", _message(policy) * 1e6, "us"


def _message(policy: str) -> float:
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "policy.lua"
        script.write_text(f'local mod = {{}} {policy} msys.registerModule("policy", mod)')
        scripts = [Script("policy", str(script))] if policy else []
        engine = Engine(Setup(scripts, services=Services(FixtureResolver({}))))
    conversation = engine.open()
    for event in (Connect("c", "inet", "192.0.2.1", 1), Helo("c")):
        conversation.handle(event)
    events = (Mail("<a@example.org>"), Rcpt("<b@example.com>"), Data({"i": "Q"}), EndOfMessage(HEADERS, b"x" * 10_000))
    rounds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(MESSAGES):
            for event in events:
                conversation.handle(event)
        rounds.append((time.perf_counter() - begun) / MESSAGES)
    conversation.handle(Close())
    engine.stop()
    return statistics.median(rounds)
