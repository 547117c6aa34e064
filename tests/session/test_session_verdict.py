"""session.verdict: the table of precedence row by row, and replies that an SMTP client can always read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lumilter.errors import LimitError, ScriptError, SplitError
from lumilter.session import phases, verdict
from lumilter.session.context import ValidateContext
from lumilter.session.events import Action, AddHeader, Outcome, Reply
from lumilter.session.steps import RunHook
from lumilter.session.verdict import OnError, Options, reply
from support.drive import Drive

# --- rows -------------------------------------------------------------------------------------------------------------

ERROR = ScriptError("failed", "policy.lua", 1)


def answered(
    decide: Callable[[RunHook], object], options: Options | None = None, refuse_to_send: Iterable[str] = ()
) -> Outcome:
    """The answer to a message for two recipients whose hooks decide so."""
    hooks = ("validate_data", "validate_data_spool_each_rcpt", "core_final_validation2")
    drive = Drive(*hooks, decide=decide, options=options or Options())
    drive.refuse_to_send.update(refuse_to_send)
    return drive.message("bob@x", "carol@x")


def refuse(code: int, note: str | None = None, disconnect: bool = False) -> Callable[[RunHook], object]:
    def decide(request: RunHook) -> object:
        if request.hook.name == "validate_data":
            vctx = request.args[2]
            assert isinstance(vctx, ValidateContext)
            vctx.code, vctx.note, vctx.disconnect = code, note, disconnect
        return None

    return decide


def test_row_1_after_the_end_everything_is_421() -> None:
    drive = Drive("validate_data", decide=refuse(250, None, disconnect=True))
    assert drive.message("bob@x").reply == Reply(421, "4.7.1", ("Service unavailable, try again later",))
    assert drive.message("bob@x") == verdict.CLOSING
    assert verdict.CLOSING.reply is not None
    assert verdict.CLOSING.reply.code == 421


@pytest.mark.parametrize("error", [ERROR, LimitError("too long")])
@pytest.mark.parametrize(
    ("on_error", "action", "code"),
    [
        (OnError.TEMPFAIL, Action.TEMPFAIL, 451),
        (OnError.REJECT, Action.REJECT, 554),
        (OnError.ACCEPT, Action.CONTINUE, 0),
    ],
)
def test_row_2_an_error_is_what_on_error_says(error: ScriptError, on_error: OnError, action: Action, code: int) -> None:
    outcome = answered(lambda request: error, Options(on_error=on_error, on_error_text="our text"))
    assert outcome.action is action
    assert (outcome.reply.code if outcome.reply else 0) == code
    if outcome.reply:
        assert outcome.reply.lines == ("our text",)
        assert outcome.reply.xcode.startswith(str(code // 100))


def test_row_2_comes_before_a_code_that_was_set() -> None:
    def decide(request: RunHook) -> object:
        refuse(550, "no")(request)
        return ERROR

    outcome = answered(decide)
    assert outcome.reply is not None
    assert outcome.reply.code == 451


@pytest.mark.parametrize(
    ("code", "note", "disconnect", "expected"),
    [
        (550, "5.7.1 no", False, Reply(550, "5.7.1", ("no",))),
        (450, "later", False, Reply(450, "", ("later",))),
        (250, "fine", False, None),
        (550, "bye", True, Reply(550, "", ("bye",))),
        (250, "bye", True, Reply(421, "", ("bye",))),
    ],
)
def test_rows_3_and_4(code: int, note: str, disconnect: bool, expected: Reply | None) -> None:
    outcome = answered(refuse(code, note, disconnect))
    assert outcome.reply == expected
    wanted = {None: Action.CONTINUE, 4: Action.TEMPFAIL, 5: Action.REJECT}
    assert outcome.action is wanted[expected.code // 100 if expected else None]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (phases.HOOK_CONT, 0),
        (phases.HOOK_DONE, 554),
        (phases.HOOK_RETRY, 451),
        (None, 0),
        ("1", 0),
        (True, 554),
        (7, 0),
    ],
)
def test_row_5_the_final_validations_status(status: object, code: int) -> None:
    outcome = answered(lambda request: status if request.hook.name == "core_final_validation2" else None)
    assert (outcome.reply.code if outcome.reply else 0) == code


def test_row_6_different_messages_that_can_not_be_sent_are_a_tempfail() -> None:
    def decide(request: RunHook) -> object:
        if request.hook.name == "validate_data_spool_each_rcpt":
            request.args[0].content.headers.append("X-To", [request.args[0].content.rcptto])  # type: ignore[attr-defined]
        return None

    outcome = answered(decide, refuse_to_send={"carol@x"})
    assert outcome.action is Action.TEMPFAIL
    assert outcome.reply is not None
    assert (outcome.reply.code, outcome.reply.xcode) == (451, "4.3.5")
    assert verdict.of_split(SplitError("text")).reply == Reply(451, "4.3.5", ("text",))


@pytest.mark.parametrize("hook", ["validate_data", "validate_data_spool_each_rcpt"])
def test_row_7_discard(hook: str) -> None:
    def decide(request: RunHook) -> object:
        if request.hook.name == hook:
            request.args[0].discarded = "550 why"  # type: ignore[attr-defined]
            request.args[0].held = "held"  # type: ignore[attr-defined]
        return None

    assert answered(decide) == verdict.DISCARD


def test_rows_8_and_9_are_edits() -> None:
    edit = AddHeader(b"A", b" 1")
    assert verdict.accepted((edit,)) == Outcome(Action.CONTINUE, None, (edit,))
    assert answered(lambda request: None) == Outcome(Action.CONTINUE)


def test_a_code_that_refuses_nothing_is_451() -> None:
    assert verdict.refusal(250, "x") == Outcome(Action.TEMPFAIL, Reply(451, "", ("x",)))
    assert replace(verdict.DISCARD) == Outcome(Action.DISCARD)


# --- replies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "note", "expected"),
    [
        (550, "no", Reply(550, "", ("no",))),
        (550, "5.7.1 no", Reply(550, "5.7.1", ("no",))),
        (550, "5.7.1", Reply(550, "5.7.1", ("Rejected by policy",))),
        (550, "4.7.1 no", Reply(550, "5.7.1", ("no",))),
        (450, "5.1.1 no\n5.1.1 not now", Reply(450, "4.1.1", ("no", "not now"))),
        (550, "192.0.2.1 is listed", Reply(550, "5.0.0", ("192.0.2.1 is listed",))),
        (550, "550  450 later", Reply(550, "5.0.0", (" 450 later",))),
        (550, "5 lives", Reply(550, "", ("5 lives",))),
        (450, "4.7.1 later", Reply(450, "4.7.1", ("later",))),
        (550, "5.7.1.2 no", Reply(550, "", ("5.7.1.2 no",))),
        (550, "550 5.7.1 no", Reply(550, "5.7.1", ("no",))),
        (550, "550-one\n550 two", Reply(550, "", ("one", "two"))),
        (550, "5.7.1 one\r\n5.7.1 two\rthree", Reply(550, "5.7.1", ("one", "two", "three"))),
        (550, None, Reply(550, "5.7.1", ("Rejected by policy",))),
        (550, "", Reply(550, "5.7.1", ("Rejected by policy",))),
        (450, " \r\n ", Reply(450, "4.7.1", ("Service unavailable, try again later",))),
        (550, "caf\u00e9 \udce9\0\t", Reply(550, "", ("caf? ??",))),
        (250, "", Reply(250, "2.0.0", ("Ok",))),
        (354, None, Reply(354, "", ("Go on",))),
        (550, "a\n\nb", Reply(550, "", ("a", "", "b"))),
        (550, "100% %s", Reply(550, "5.0.0", ("100% %s",))),
        # Digits that are not ASCII make no status: libmilter would refuse the whole reply.
        (550, "5.\u0663.1 no", Reply(550, "", ("5.?.1 no",))),
        (550, "5.7.1\u00a0no", Reply(550, "", ("5.7.1?no",))),
    ],
)
def test_replies(code: int, note: str | None, expected: Reply) -> None:
    assert reply(code, note) == expected


SCRAPS = st.sampled_from(
    ["550", "550-", "5.7.1", "4.0.0", " ", "\r\n", "\n", "\r", "\0", "\udce9", "\u00e9", "x" * 600]
)


@given(st.sampled_from([400, 421, 450, 499, 500, 550, 599]), st.none() | st.text() | st.lists(SCRAPS).map("".join))
@example(550, "\n" * 100)
@example(550, "550 550 550")
def test_a_reply_is_always_smtp(code: int, note: str | None) -> None:
    made = reply(code, note)
    assert made.code == code
    assert 1 <= len(made.lines) <= 32
    assert any(made.lines)
    assert made.xcode or made.lines[0].lstrip()[:1] not in {*"0123456789"} - {str(code)[0]}  # else Postfix says 451
    assert made.xcode == "" or re.fullmatch(rf"{code // 100}\.\d{{1,3}}\.\d{{1,3}}", made.xcode)
    for line in made.lines:
        assert re.fullmatch(r"[\x20-\x7e]*", line)
        assert len(f"{code}-{made.xcode} {line}\r\n") <= 512
