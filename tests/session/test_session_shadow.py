"""session.shadow: nothing reaches the MTA, and scripts see what they would have seen without it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.adapters.dns import FixtureResolver
from lumilter.config.sections.observing import Log
from lumilter.daemon import log
from lumilter.errors import ScriptError
from lumilter.services import Services
from lumilter.session.events import (
    CONTINUE,
    Abort,
    Action,
    AddHeader,
    Close,
    Connect,
    Data,
    EndOfMessage,
    Event,
    Helo,
    Mail,
    Outcome,
    Rcpt,
)
from lumilter.session.needs import Edits, Needs
from lumilter.session.session import Session
from lumilter.session.shadow import ShadowSession, unanswered
from lumilter.session.steps import HookDone, Module, Pause, RunHook
from lumilter.session.verdict import OnError, Options
from support.mailbox import Mailbox
from support.policy import BODY, CONNECT, HEADERS
from support.shadowed import shadowed

HELO = Helo("client.example")
MAIL, BOB, CAROL = Mail("<ann@example.org>"), Rcpt("<bob@example.com>"), Rcpt("<carol@example.com>")
DATA, END = Data({"i": "QUEUE"}), EndOfMessage(HEADERS, BODY, {"i": "QUEUE"})
SESSION: tuple[Event, ...] = (CONNECT, HELO, MAIL, BOB, CAROL, DATA, END, Close())

EVERY = (
    "validate_connect", "validate_ehlo", "validate_mailfrom", "validate_rcptto", "validate_rcptto_list",
    "validate_data", "validate_data_spool_each_rcpt",
)  # fmt: skip


def policy_of(hook: str, code: str) -> str:
    """Every hook is there, one of them does something with its first argument, msg, and its last one, vctx."""
    plain = "".join(f"function mod:{each}() end\n" for each in EVERY)
    return (
        plain
        + f"""
      function mod:{hook}(...)
        local vctx, msg = select(select("#", ...), ...), ...
        {code}
      end
      function mod:validate_dealloc() end"""
    )


def code_of(outcome: Outcome) -> int:
    return outcome.reply.code if outcome.reply else 0


# --- each kind of verdict ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hook", "at", "later"),
    [
        ("validate_connect", 0, ["validate_dealloc"]),
        ("validate_ehlo", 1, ["validate_dealloc"]),
        ("validate_mailfrom", 2, ["validate_dealloc"]),
        ("validate_rcptto_list", 5, ["validate_dealloc"]),
        ("validate_data", 6, ["validate_dealloc"]),
        ("validate_data_spool_each_rcpt", 6, ["validate_dealloc"]),
    ],
)
@pytest.mark.parametrize("code", [421, 450, 550])
def test_a_refusal_in_each_phase(tmp_path: Path, hook: str, at: int, later: list[str], code: int) -> None:
    with shadowed(tmp_path, policy_of(hook, f'vctx:set_code({code}, "no")')) as shadow:
        outcomes = shadow.session(SESSION)
        assert shadow.untouched
        assert [code_of(outcome) for outcome in outcomes[:at]] == [0] * at
        assert code_of(outcomes[at]) == code
        assert outcomes[6] == outcomes[at]
        assert all(outcome == CONTINUE for outcome in outcomes[at + 1 : 6])
        assert shadow.hooks[shadow.hooks.index(hook) + 1 :] == later


@pytest.mark.parametrize(
    ("hook", "code", "action"),
    [
        ("validate_data", "msg:discard('spam')", Action.DISCARD),
        ("validate_data", "msg:quarantine('look')", Action.CONTINUE),
        ("validate_data", "vctx:tarpit(3600)", Action.CONTINUE),
        ("validate_data_spool_each_rcpt", "msg:discard()", Action.DISCARD),
        ("core_final_validation2", "return msys.core.EC_HOOK_DONE", Action.REJECT),
        ("validate_mailfrom", "error('oops')", Action.TEMPFAIL),
        ("validate_mailfrom", "vctx.disconnect = 1", Action.TEMPFAIL),
        ("validate_data", "msg:header('X-A', 'b') vctx:add_recipient('d@example.com')", Action.CONTINUE),
    ],
)
def test_everything_else_that_a_policy_can_say(tmp_path: Path, hook: str, code: str, action: Action) -> None:
    with shadowed(tmp_path, policy_of(hook, code)) as shadow:
        outcomes = shadow.session(SESSION)
        assert shadow.untouched
        assert outcomes[6].action is action
        assert bool(outcomes[6].edits) == ("header" in code or "quarantine" in code)


def test_a_script_error_that_is_accepted_goes_on(tmp_path: Path) -> None:
    text = policy_of("validate_mailfrom", "error('oops')")
    with shadowed(tmp_path, text, options=Options(on_error=OnError.ACCEPT)) as shadow:
        assert shadow.session(SESSION)[6] == CONTINUE
        assert "validate_data" in shadow.hooks


def test_recipients_that_need_different_messages(tmp_path: Path) -> None:
    seen: list[str] = []

    def observe(session: Session, event: Event, outcome: Outcome) -> None:
        seen.extend(str(error) for error in session.trace.errors)
        session.trace.clear()

    text = policy_of("validate_data_spool_each_rcpt", 'msg:header("X-For", msg:rcptto())')
    with shadowed(tmp_path, text, observe=observe) as shadow:
        assert code_of(shadow.session(SESSION)[6]) == 451
        assert shadow.untouched
        assert len(seen) == 1
        assert "recipients need different messages" in seen[0]


# --- recipients -------------------------------------------------------------------------------------------------------


def test_a_refused_recipient_is_one_less(tmp_path: Path) -> None:
    text = """
      function mod:validate_rcptto(msg, str, ac, vctx)
        if tostring(str) == "carol@example.com" then vctx:set_code(550, "no Carol") end
      end
      function mod:validate_data_spool_each_rcpt(msg) msg:header("X-For", msg:rcptto()) end"""
    with shadowed(tmp_path, text) as shadow:
        outcomes = shadow.session(SESSION)
        assert [code_of(outcome) for outcome in outcomes] == [0, 0, 0, 0, 550, 0, 0, 0]
        assert outcomes[6].edits == (AddHeader(b"X-For", b" bob@example.com"),)
        assert shadow.untouched


def test_when_all_recipients_are_refused_the_message_is(tmp_path: Path) -> None:
    text = policy_of("validate_rcptto", 'vctx:set_code(msg:rcptto():find("bob") and 450 or 550, "no")')
    with shadowed(tmp_path, text) as shadow:
        outcomes = shadow.session(SESSION)
        assert [code_of(outcome) for outcome in outcomes[3:7]] == [450, 550, 0, 550]
        assert shadow.hooks[-2:] == ["validate_rcptto", "validate_dealloc"]


def test_a_recipient_that_is_dropped_silently_was_taken(tmp_path: Path) -> None:
    with shadowed(tmp_path, policy_of("validate_rcptto", "msg:discard('away')")) as shadow:
        assert shadow.session(SESSION)[6].action is Action.DISCARD


# --- what a refusal does not cover ------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", [[DATA, END], [BOB, Abort()], [Abort()], [], [Abort(), HELO]])
def test_the_next_transaction_is_a_new_one(tmp_path: Path, between: Sequence[Event]) -> None:
    text = policy_of("validate_mailfrom", 'if tostring(msg):find("ann") then vctx:set_code(550, "no") end')
    with shadowed(tmp_path, text) as shadow:
        outcomes = shadow.session([CONNECT, HELO, MAIL, BOB, *between, Mail("<eve@example.org>"), BOB, DATA, END])
        assert outcomes[-1] == CONTINUE
        assert shadow.hooks[-4:] == list(EVERY[3:])
        assert shadow.hooks.count("validate_rcptto") == 1


def test_every_message_of_a_refused_connection_is_refused(tmp_path: Path) -> None:
    with shadowed(tmp_path, policy_of("validate_ehlo", 'vctx:set_code(550, "not you")')) as shadow:
        outcomes = shadow.session([CONNECT, HELO, HELO, MAIL, BOB, DATA, END, MAIL, BOB, END, Close()])
        assert [code_of(outcome) for outcome in outcomes] == [0, 550, 0, 0, 0, 0, 550, 0, 0, 550, 0]
        assert shadow.hooks == ["validate_connect", "validate_ehlo", "validate_dealloc"]


def test_after_disconnect_with_a_code_the_next_command_ends_the_connection(tmp_path: Path) -> None:
    with shadowed(tmp_path, policy_of("validate_mailfrom", 'vctx:set_code(550, "no") vctx.disconnect = 1')) as shadow:
        outcomes = shadow.session([CONNECT, HELO, MAIL, BOB, END, MAIL, BOB, DATA, END, Close()])
        assert [code_of(outcome) for outcome in outcomes] == [0, 0, 550, 0, 550, 421, 0, 0, 421, 0]


def test_what_was_never_there_is_not_in_the_context(tmp_path: Path) -> None:
    text = """
      function mod:validate_mailfrom(str, ac, vctx)
        print(vctx:get(1 - 1, "connection_total_rcpt_count"), vctx:get(msys.core.VCTX_MESS, "rcptto_string"))
        vctx:set_code(550, "no")
      end"""
    with shadowed(tmp_path, text) as shadow:
        shadow.session([CONNECT, HELO, MAIL, BOB, CAROL, END, MAIL, Close()])
        first, second = shadow.running.printed
        assert first == second


def test_a_client_that_is_not_in_shadow_hears_everything(tmp_path: Path) -> None:
    text = policy_of("validate_mailfrom", 'vctx:set_code(550, "no")')
    with shadowed(tmp_path, text, is_shadow=lambda client: client == "192.0.2.1") as shadow:
        shadow.session([CONNECT, HELO, MAIL, Close()])
        assert shadow.untouched
        shadow.heard.clear()
        outcomes = shadow.session([Connect("c", "inet", "192.0.2.2", 1), HELO, MAIL, Close()])
        assert [code_of(outcome) for outcome in outcomes] == [0, 0, 550, 0]
        assert shadow.heard == outcomes


def test_needs() -> None:
    assert unanswered(Needs()) == Needs(frozenset(), Edits.NONE, True)
    assert unanswered(Needs(content=False)).content is False


# --- the log ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    log.configure(Log(format="json", target=str(tmp_path / "log"), level="info"))
    yield tmp_path / "log"
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(lines: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.read_text().splitlines()]


def test_the_log_says_what_would_have_been(tmp_path: Path, lines: Path) -> None:
    text = policy_of("validate_data", 'msg:header("X-A", "b")')
    with shadowed(tmp_path, text, observe=log.observe) as shadow:
        shadow.session(SESSION)
    (line,) = logged(lines)
    assert (line["message"], line["shadow"], line["verdict"], line["edits"]) == (
        "endofmessage", True, "accept", ["AddHeader:X-A"],
    )  # fmt: skip
    assert line["ms"]["policy.validate_data"] > 0


def test_the_line_of_a_message_that_would_not_have_come_names_it(tmp_path: Path, lines: Path) -> None:
    text = policy_of("validate_ehlo", "error('oops')")
    with shadowed(tmp_path, text, observe=log.observe) as shadow:
        shadow.session([*SESSION[:-1], Mail("<eve@example.org>"), BOB, EndOfMessage((), b"", {"i": "NEXT"}), Close()])
    error, helo, first, second = logged(lines)
    assert (error["level"], error["script"], error["shadow"]) == ("error", "policy.lua", True)
    assert (helo["message"], helo["verdict"]) == ("helo", "tempfail")
    assert (first["from"], first["to"]) == ("ann@example.org", ["bob@example.com", "carol@example.com"])
    assert (second["from"], second["to"]) == ("eve@example.org", ["bob@example.com"])
    assert [line["queue_id"] for line in (first, second)] == ["QUEUE", "NEXT"]
    assert {line["reply"] for line in (helo, first, second)} == {"451 4.3.0 local policy error"}
    assert {line["shadow"] for line in (helo, first, second)} == {True}


def test_a_session_that_is_none_is_not_marked(tmp_path: Path, lines: Path) -> None:
    with shadowed(tmp_path, policy_of("validate_data", ""), lambda client: False, log.observe) as shadow:
        shadow.session(SESSION)
    assert "shadow" not in logged(lines)[0]


# --- against a session that is none, behind an MTA --------------------------------------------------------------------

MODULES = [Module("policy", frozenset([*EVERY, "validate_dealloc"]))]
ANSWERS = st.sampled_from([0, 0, 0, 0, 450, 550, 421, "disconnect", "error", "discard"])
TRANSACTION = st.builds(
    lambda rcpts, end: [MAIL, *rcpts, *end],
    st.lists(st.sampled_from([BOB, CAROL, Rcpt("<dave@example.com>")]), max_size=3),
    st.sampled_from([[DATA, END], [DATA, END], [DATA, Abort()], [Abort()], []]),
)


class Hooks:
    """Drives a session with hooks that answer what was drawn, in the order in which they run; keeps what each saw."""

    def __init__(self, session: Session, answers: Sequence[object]) -> None:
        self.session, self._answers = session, iter(answers)
        self.saw: list[tuple[object, ...]] = []

    def handle(self, event: Event) -> Outcome:
        steps = self.session.handle(event)
        try:
            request = next(steps)
            while True:
                request = steps.send(None) if isinstance(request, Pause) else self._run(steps, request)
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome

    def _run(self, steps: Any, request: RunHook) -> Any:
        session, answer = self.session, next(self._answers, 0)
        context = session.vctx.conn, session.vctx.mess, session.recipients.addresses(), session.macros.get("i")
        self.saw.append((request.hook.name, *map(repr, context)))
        if answer == "error":
            return steps.throw(ScriptError("oops"))
        if answer == "disconnect":
            session.vctx.disconnect = True
        elif answer == "discard" and session.message is not None:
            session.message.discarded = "spam"
        elif isinstance(answer, int) and answer:
            session.vctx.code = answer
        return steps.send(HookDone(None))


def behind_an_mta(hooks: Hooks, transactions: Sequence[Sequence[Event]]) -> list[Outcome]:
    """What Postfix lets a milter see, given its answers; what becomes of each message that a shadow would see."""
    ends: list[Outcome] = []
    refused_for_good: Outcome | None = None
    for event in (CONNECT, HELO):
        if refused_for_good is None and (outcome := hooks.handle(event)) != CONTINUE:
            refused_for_good = outcome
    for transaction in transactions:
        refused, recipients, last = refused_for_good, 0, None
        for event in transaction:
            if refused is None and isinstance(event, Data | EndOfMessage) and not recipients and last:
                refused = last
            if isinstance(event, Abort):
                hooks.handle(event)
            elif refused is None:
                outcome = hooks.handle(event)
                recipients += isinstance(event, Rcpt) and outcome == CONTINUE
                if code_of(outcome) == 421:
                    refused = refused_for_good = outcome
                elif isinstance(event, Rcpt) and outcome != CONTINUE:
                    last = outcome
                elif outcome != CONTINUE:
                    refused = outcome
                if isinstance(event, EndOfMessage):
                    ends.append(outcome)
            elif isinstance(event, EndOfMessage):
                ends.append(refused)
                hooks.handle(Abort())  # as the wires do before the next MAIL, or the Close
    hooks.handle(Close())
    return ends


@settings(max_examples=200, deadline=None)
@given(st.lists(TRANSACTION, max_size=3), st.lists(ANSWERS, max_size=12))
def test_scripts_see_what_they_would_have_seen(transactions: list[list[Event]], answers: list[object]) -> None:
    real = Hooks(Session(MODULES, Options(), lambda: "id"), answers)
    expected = behind_an_mta(real, transactions)
    session = ShadowSession(MODULES, Options(), lambda: "id")
    shadow = Hooks(session, answers)
    ends = []
    for event in [CONNECT, HELO, *(event for transaction in transactions for event in transaction), Close()]:
        assert shadow.handle(event) == CONTINUE
        if isinstance(event, EndOfMessage):
            ends.append(session.would_be)
    assert ends == expected
    assert shadow.saw == real.saw


def test_mail_that_a_session_lets_be_sent_later_is_not_sent_either(tmp_path: Path) -> None:
    """What begins in a session is as the session is: timers, and closures in pools, also those that a timer begins."""
    mail = Mailbox()
    text = """
require("msys.extended.message") require("msys.timer") require("msys.threadpool")
done, timers = 0, {}
local function send()
  local new = msys.core.ec_message_new(nil)
  new:build({ Subject = "made" }, { ["text/plain"] = "x" }, nil)
  assert(new:inject("s@example.org", "r@example.com"))
  done = done + 1
end
function mod:validate_data()
  local before = done
  timers[#timers + 1] = msys.timer.after(0.001, function()
    timers[#timers + 1] = msys.timer.after(0.001, send)
    msys.runInPool("IO", send)
  end)
  msys.runInPool("IO", send)
  while done < before + 3 do msys.sleep(0.005) end
end"""
    services = Services(FixtureResolver({}), hostname="mx.example.com", mail=mail)
    with shadowed(tmp_path, text, lambda client: client == "192.0.2.1", services=services) as running:
        running.session(SESSION)
        assert (mail.promised, running.running.errors) == ([], [])
        running.session((replace(CONNECT, address="198.51.100.1"), *SESSION[1:]))
        assert len(mail.promised) == 3
