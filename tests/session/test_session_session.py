"""session.session: the generator driven by hand, without Lua."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lumilter.errors import LimitError, ScriptError
from lumilter.session import phases
from lumilter.session.context import ValidateContext
from lumilter.session.events import (
    CONTINUE,
    Abort,
    Action,
    AddHeader,
    AddRecipient,
    ChangeSender,
    Close,
    Data,
    DeleteRecipient,
    EndOfMessage,
    Event,
    Helo,
    Mail,
    Outcome,
    Quarantine,
    Rcpt,
)
from lumilter.session.mail import ListNode, MailMessage
from lumilter.session.steps import Module, RunHook
from lumilter.session.strings import EcString
from lumilter.session.verdict import OnError, Options
from support.drive import BODY, CONNECT, HEADERS, Drive

ALL = [hook.name for event, hooks in phases.BY_EVENT.items() for hook in hooks if event is not Close]
EACH = [hook.name for hook in phases.EACH_RCPT]


def vctx_of(request: RunHook) -> ValidateContext:
    return next(arg for arg in request.args if isinstance(arg, ValidateContext))


def message_of(request: RunHook) -> MailMessage:
    return next(arg for arg in request.args if isinstance(arg, MailMessage))


def at(hook: str, act: Callable[[RunHook], object]) -> Callable[[RunHook], object]:
    """Do it in that hook and nothing in others."""
    return lambda request: act(request) if request.hook.name == hook else None


# --- order ------------------------------------------------------------------------------------------------------------


def test_every_hook_in_its_order() -> None:
    drive = Drive(*ALL)
    assert drive.message("bob@x", "carol@x") == CONTINUE
    wanted = ["core_validate_accept", "validate_connect", "validate_ehlo", "validate_mailfrom"]
    wanted += ["validate_rcptto", "validate_rcptto", "validate_rcptto_list", "validate_rcptto_list_final"]
    wanted += ["validate_data", "validate_data_spool", *EACH, *EACH]
    assert drive.ran == [f"policy.{hook}" for hook in wanted]


def test_arguments() -> None:
    drive = Drive(*ALL)
    drive.message("bob@x")
    first = {request.hook.name: request.args for request in reversed(drive.requests)}
    session = drive.session
    assert first["validate_connect"] == (session.ac, session.vctx)
    assert first["validate_ehlo"] == (EcString(b"client.example"), session.ac, session.vctx)
    assert first["validate_mailfrom"] == (EcString(b"ann@example.org"), session.ac, session.vctx)
    msg, text, ac, vctx = first["validate_rcptto"]
    assert (type(msg), text, ac, vctx) == (MailMessage, EcString(b"bob@x"), session.ac, session.vctx)
    node, vctx = first["validate_rcptto_list"]
    assert isinstance(node, ListNode)
    assert (node.object, node.next, vctx) == ("bob@x", None, session.vctx)
    assert first["validate_data"] == (msg, session.ac, session.vctx)
    (own,) = first["validate_set_binding"]
    assert isinstance(own, MailMessage)
    assert own.own
    assert own is not msg
    assert own.batch_id == msg.batch_id  # type: ignore[attr-defined]


def test_modules_in_their_order_until_one_is_done() -> None:
    modules = [Module(name, frozenset({"validate_ehlo", "validate_mailfrom"})) for name in ("a", "b", "c")]
    drive = Drive(
        modules=modules,
        decide=lambda r: phases.VALIDATE_DONE if (r.module.name, r.hook.phase) == ("b", "ehlo") else None,
    )
    drive.handle(Helo("x"))
    drive.handle(Mail("<a@b>"))
    assert drive.ran == [
        "a.validate_ehlo", "b.validate_ehlo", "a.validate_mailfrom", "b.validate_mailfrom", "c.validate_mailfrom"
    ]  # fmt: skip


def test_done_ends_one_hook_and_not_the_next_of_the_same_event() -> None:
    drive = Drive("core_validate_accept", "validate_connect", decide=lambda request: phases.VALIDATE_DONE)
    drive.handle(CONNECT)
    assert drive.ran == ["policy.core_validate_accept", "policy.validate_connect"]


@pytest.mark.parametrize("value", [None, 0, 0.0, "1", "done", False, 3, object(), [1]])
def test_other_values_go_on(value: object) -> None:
    modules = [Module(name, frozenset({"validate_ehlo"})) for name in ("a", "b")]
    drive = Drive(modules=modules, decide=lambda request: value)
    assert drive.handle(Helo("x")) == CONTINUE
    assert drive.ran == ["a.validate_ehlo", "b.validate_ehlo"]


def test_a_code_stops_the_hooks_after_it() -> None:
    def refuse(request: RunHook) -> None:
        vctx_of(request).code = 550

    drive = Drive(*ALL, decide=at("validate_data", refuse))
    assert drive.message("bob@x").action is Action.REJECT
    assert drive.ran[-1] == "policy.validate_data"


def test_later_modules_of_the_same_hook_may_take_a_code_back() -> None:
    codes = {"a": 550, "b": 250}

    def decide(request: RunHook) -> None:
        vctx_of(request).code = codes[request.module.name]

    drive = Drive(modules=[Module(name, frozenset({"validate_ehlo"})) for name in codes], decide=decide)
    assert drive.handle(Helo("x")) == CONTINUE


# --- again, errors, the end -------------------------------------------------------------------------------------------


def test_again_runs_the_hook_again_after_a_pause() -> None:
    answers = iter([phases.VALIDATE_AGAIN, phases.VALIDATE_AGAIN, phases.VALIDATE_DONE])
    drive = Drive("validate_ehlo", decide=lambda request: next(answers), options=Options(again_interval=2.0))
    assert drive.handle(Helo("x")) == CONTINUE
    assert (len(drive.ran), drive.paused) == (3, [2.0, 2.0])
    (run,) = drive.session.trace.runs
    assert (run.result, run.ms) == ("done", 3.0)
    assert len({id(request.args[0]) for request in drive.requests}) == 1


def test_again_has_a_limit() -> None:
    options = Options(again_interval=2.0, again_limit=5.0)
    drive = Drive("validate_ehlo", decide=lambda request: phases.VALIDATE_AGAIN, options=options)
    assert drive.handle(Helo("x")).action is Action.TEMPFAIL
    assert drive.paused == [2.0, 2.0]
    (error,) = drive.session.trace.errors
    assert isinstance(error, LimitError)
    assert str(error) == "validate_ehlo still says VALIDATE_AGAIN after 5 s"
    assert drive.session.trace.runs[0].result == "limit"


@pytest.mark.parametrize("on_error", OnError)
def test_an_error_is_recorded_and_decided_on(on_error: OnError) -> None:
    error = ScriptError("failed", "a.lua", 3)
    modules = [Module(name, frozenset({"validate_ehlo"})) for name in ("a", "b")]
    drive = Drive(
        modules=modules, decide=lambda r: error if r.module.name == "a" else None, options=Options(on_error=on_error)
    )
    outcome = drive.handle(Helo("x"))
    assert drive.session.trace.errors == [error]
    assert drive.session.trace.runs[0].result == "error"
    assert (outcome == CONTINUE) == (on_error is OnError.ACCEPT)
    assert (len(drive.ran) == 2) == (on_error is OnError.ACCEPT)
    assert drive.handle(Mail("<a@b>")) == CONTINUE


def test_dealloc_only_for_modules_that_ran_and_never_fails() -> None:
    modules = [
        Module("ran", frozenset({"validate_ehlo", "validate_dealloc"})),
        Module("did not", frozenset({"validate_data", "validate_dealloc"})),
        Module("ran too", frozenset({"validate_ehlo", "validate_dealloc"})),
        Module("has none", frozenset({"validate_ehlo"})),
    ]
    error = ScriptError("failed")
    drive = Drive(modules=modules, decide=at("validate_dealloc", lambda request: error))
    drive.handle(Helo("x"))
    assert drive.handle(Close()) == CONTINUE
    assert drive.ran[3:] == ["ran.validate_dealloc", "ran too.validate_dealloc"]
    assert drive.session.trace.errors == [error, error]


def test_a_tarpit_is_one_pause_within_its_limit() -> None:
    def wait(request: RunHook) -> None:
        vctx_of(request).tcost = 100.0

    drive = Drive("validate_ehlo", decide=wait, options=Options(max_tarpit=7.0))
    assert drive.handle(Helo("x")) == CONTINUE
    assert drive.handle(Mail("<a@b>")) == CONTINUE
    assert drive.paused == [7.0]


# --- transactions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [Abort(), Mail("<second@example.org>")])
def test_a_transaction_ends(end: Event) -> None:
    drive = Drive("validate_rcptto_list")
    session = drive.session
    for event in (CONNECT, Mail("<ann@example.org>", (), {"auth_authen": "ann"}), Rcpt("<bob@x>")):
        drive.handle(event)
    session.vctx.mess["mine"] = "x"
    session.vctx.conn["mine"] = "kept"
    first = session.message
    drive.handle(end)
    assert session.message is not first
    assert "mine" not in session.vctx.mess
    assert "rcptto_string" not in session.vctx.mess
    assert session.vctx.conn["mine"] == "kept"
    assert session.recipients.addresses() == []


def test_two_messages_on_one_connection() -> None:
    drive = Drive("validate_data")
    assert drive.message("bob@x") == CONTINUE
    first = drive.session.envelope
    assert drive.session.message is None
    assert drive.session.queue_id == "QUEUE"
    drive.handle(Mail("<>"))
    assert drive.session.queue_id == ""
    assert drive.session.vctx.mess["mailfrom_string"] == ""
    assert drive.session.envelope.msg_id != first.msg_id
    assert (first.sender, first.recipients) == ("ann@example.org", ("bob@x",))


def test_a_message_without_a_mail_command_is_let_through() -> None:
    drive = Drive("validate_data")
    assert drive.handle(EndOfMessage(HEADERS, BODY)) == CONTINUE
    assert drive.ran == []


def test_peer_context_and_macros() -> None:
    drive = Drive("validate_connect", peer_context=lambda address: {"relaying": address})
    drive.handle(CONNECT)
    assert drive.session.vctx.conn["relaying"] == "192.0.2.1"
    drive.handle(Mail("<a@b>", (), {"auth_authen": "ann", "tls_version": "TLSv1.3"}))
    assert drive.session.vctx.conn["auth_user"] == "ann"
    assert drive.session.vctx.conn["tls"] == "true"


# --- recipients and edits ---------------------------------------------------------------------------------------------


def edited(act: Callable[[RunHook], object], *recipients: str, hook: str = "validate_data") -> Outcome:
    return Drive(hook, "validate_data", decide=at(hook, act)).message(*(recipients or ("bob@x", "carol@x")))


def test_recipients_that_scripts_add_and_remove() -> None:
    drive = Drive("validate_rcptto_list", "validate_data_spool_each_rcpt")

    def edit(request: RunHook) -> None:
        drive.session.recipients.add("dave@x")
        drive.session.recipients.add("bob@x")
        drive.session.recipients.remove("CAROL@x")

    drive.decide = at("validate_rcptto_list", edit)
    outcome = drive.message("bob@x", "carol@x")
    assert outcome.edits == (AddRecipient("dave@x"), DeleteRecipient("<carol@x>"))
    each = [request for request in drive.requests if request.hook.name == "validate_data_spool_each_rcpt"]
    assert [message_of(request).content.rcptto for request in each] == ["bob@x", "dave@x"]
    assert len({message_of(request).id for request in each}) == 2


def test_more_recipients_than_an_mta_limits_by_itself() -> None:
    """Each takes as long as the first: with a look at all of them for each this would be an hour."""
    drive = Drive("validate_data", "validate_data_spool_each_rcpt")
    addresses = [f"user{number}@x" for number in range(50_000)]

    def edit(request: RunHook) -> None:
        drive.session.recipients.remove(*addresses[::2])
        drive.session.recipients.add(*addresses[1::4], *(f"new-{address}" for address in addresses[::2]))

    drive.decide = at("validate_data", edit)
    outcome = drive.message(*addresses)
    assert [type(edit) for edit in outcome.edits] == [AddRecipient] * 25_000 + [DeleteRecipient] * 25_000


def test_a_recipient_that_is_put_back_costs_nothing() -> None:
    drive = Drive("validate_data")

    def edit(request: RunHook) -> None:
        drive.session.recipients.remove("bob@x")
        drive.session.recipients.add("bob@x")

    drive.decide = at("validate_data", edit)
    assert drive.message("bob@x") == CONTINUE


def test_a_recipient_that_is_refused_is_not_the_mtas() -> None:
    def refuse(request: RunHook) -> None:
        if str(request.args[1]) == "bob@x":
            vctx_of(request).code = 550

    drive = Drive("validate_rcptto", "validate_data_spool_each_rcpt", decide=at("validate_rcptto", refuse))
    assert drive.message("bob@x", "carol@x") == CONTINUE
    assert drive.ran.count("policy.validate_data_spool_each_rcpt") == 1
    assert drive.session.envelope.recipients == ("carol@x",)


def test_a_recipient_that_is_named_twice() -> None:
    assert edited(lambda request: None, "bob@x", "bob@x") == CONTINUE


def test_changes_that_are_the_same_for_all_are_edits_of_one_message() -> None:
    def edit(request: RunHook) -> None:
        message = message_of(request)
        message.content.headers.append("X-A", ["1"])
        message.content.mailfrom = "bounces@example.org"
        message.held = "held"
        message.content.rcptto = "new+" + message.content.rcptto

    outcome = edited(edit, hook="validate_data_spool_each_rcpt")
    assert outcome.edits == (
        AddHeader(b"X-A", b" 1"),
        ChangeSender("bounces@example.org"),
        AddRecipient("new+bob@x"),
        AddRecipient("new+carol@x"),
        DeleteRecipient("<bob@x>"),
        DeleteRecipient("<carol@x>"),
        Quarantine("held"),
    )


def test_nothing_changed_is_no_edit() -> None:
    def touch(request: RunHook) -> None:
        content = message_of(request).content
        content.headers.append("X-A", ["1"])
        content.headers.delete("X-A")
        content.mailfrom = content.mailfrom + ""
        content.body = bytes(bytearray(content.body))

    assert edited(touch) == CONTINUE


def test_the_contexts_of_recipients_are_their_own() -> None:
    seen: list[dict[str, str]] = []

    def note(request: RunHook) -> None:
        vctx = vctx_of(request)
        seen.append(dict(vctx.mess))
        vctx.mess["own"] = message_of(request).content.rcptto

    drive = Drive("validate_data_spool_each_rcpt", decide=note)
    drive.message("bob@x", "carol@x")
    assert [mess.get("own") for mess in seen] == [None, None]
    assert [mess["rcptto_string"] for mess in seen] == ["bob@x", "carol@x"]
    assert [message.mess["own"] for message in drive.session.messages] == ["bob@x", "carol@x"]


def test_a_recipients_copy_may_be_dropped() -> None:
    def drop(request: RunHook) -> None:
        message = message_of(request)
        if message.content.rcptto == "bob@x":
            message.discarded = "550 no"

    outcome = edited(drop, hook="validate_data_spool_each_rcpt")
    assert outcome == Outcome(Action.CONTINUE, None, (DeleteRecipient("<bob@x>"),))


def test_without_recipients_there_is_nothing_to_keep() -> None:
    drive = Drive("validate_data")

    def empty(request: RunHook) -> None:
        drive.session.recipients.remove("bob@x")

    drive.decide = at("validate_data", empty)
    assert drive.message("bob@x").action is Action.DISCARD
    assert drive.session.envelope.discarded == "no recipient is left"


def test_a_refusal_at_data_keeps_nothing_for_the_next_message() -> None:
    drive = Drive("validate_data", decide=at("validate_data", lambda request: setattr(vctx_of(request), "code", 550)))
    assert drive.message("bob@x").action is Action.REJECT
    drive.decide = lambda request: None
    assert drive.message("carol@x") == CONTINUE
    assert drive.handle(Data()) == CONTINUE
