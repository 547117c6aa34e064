"""Session.trace: whose word about an event was the last, and which runs belong to the event."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lumilter.errors import LimitError, ScriptError
from lumilter.session import phases
from lumilter.session.events import Action, Helo, Mail, Rcpt
from lumilter.session.steps import Module, RunHook
from lumilter.session.verdict import OnError, Options
from support.drive import CONNECT, Drive

MODULES = [Module(name, frozenset(["validate_ehlo", "validate_mailfrom"])) for name in ("one", "two", "three")]


def drive(decide: Callable[[Drive, RunHook], object], options: Options | None = None) -> Drive:
    made = Drive(modules=MODULES, options=options, decide=lambda request: decide(made, request))
    made.handle(CONNECT)
    return made


def test_the_module_that_set_the_code() -> None:
    def decide(made: Drive, request: RunHook) -> object:
        if request.module.name == "two":
            made.session.vctx.code = 550
        return None

    made = drive(decide)
    assert made.handle(Helo("x")).action is Action.REJECT
    assert made.ran == ["one.validate_ehlo", "two.validate_ehlo", "three.validate_ehlo"]
    assert made.session.trace.decided == ("ehlo", "two")


def test_the_last_one_that_changed_it() -> None:
    def decide(made: Drive, request: RunHook) -> object:
        made.session.vctx.code = {"one": 550, "two": 550, "three": 450}[request.module.name]
        return phases.VALIDATE_DONE if request.module.name == "two" else None

    made = drive(decide)
    assert made.handle(Helo("x")).action is Action.REJECT
    assert made.session.trace.decided == ("ehlo", "one")


@pytest.mark.parametrize("on_error", [OnError.TEMPFAIL, OnError.ACCEPT])
def test_a_module_that_failed(on_error: OnError) -> None:
    def decide(made: Drive, request: RunHook) -> object:
        return ScriptError("oops") if request.module.name == "two" else None

    made = drive(decide, Options(on_error=on_error))
    made.handle(Helo("x"))
    assert made.session.trace.decided == (None if on_error is OnError.ACCEPT else ("ehlo", "two"))
    assert [error.module for error in made.session.trace.errors if isinstance(error, ScriptError)] == ["two"]


def test_nobody() -> None:
    def decide(made: Drive, request: RunHook) -> object:
        if isinstance(request, RunHook) and request.hook.name == "validate_ehlo":
            made.session.vctx.disconnect = True
        return None

    made = drive(decide)
    made.handle(Helo("x"))
    assert made.session.trace.decided == ("ehlo", "one")
    assert made.handle(Mail("<a@example.com>")).reply is not None  # 421 from now on
    assert made.session.trace.decided is None


def test_final_validation_and_discards() -> None:
    status = Drive("core_final_validation2", decide=lambda request: phases.HOOK_RETRY)
    assert status.message("bob@example.com").action is Action.TEMPFAIL
    assert status.session.trace.decided == ("final_validation", "policy")

    def discard(request: RunHook) -> object:
        message = dropped.session.message
        assert message is not None
        message.discarded = "spam"
        return None

    dropped = Drive("validate_data_spool_each_rcpt", decide=discard)
    assert dropped.message("bob@example.com", "carol@example.com").action is Action.DISCARD
    assert dropped.session.trace.decided == ("data_spool_each_rcpt", "policy")


def test_the_runs_of_the_last_event() -> None:
    made = drive(lambda made, request: None)
    trace = made.session.trace
    made.handle(Helo("x"))
    assert (len(trace.runs), trace.begun) == (3, 0)
    made.handle(Mail("<a@example.com>"))
    assert (len(trace.runs), trace.begun) == (6, 3)
    made.handle(Rcpt("<b@example.com>"))
    assert trace.runs[trace.begun :] == []
    trace.clear()
    assert trace.begun == 0


def test_a_failed_hook_s_time_is_told_and_its_limit_named() -> None:
    def decide(made: Drive, request: RunHook) -> object:
        error = LimitError("the hook passed its deadline", limit="deadline")
        error.ms = 60_000.0
        return error

    made = drive(decide)
    made.handle(Helo("x"))
    assert made.session.trace.runs[-1].ms == 60_000.0
    again = Drive("validate_ehlo", decide=lambda request: phases.VALIDATE_AGAIN)
    again.handle(CONNECT)
    again.handle(Helo("x"))
    (error,) = again.session.trace.errors
    assert isinstance(error, LimitError)
    assert (error.limit, error.module) == ("again", "policy")
