"""What a policy's disposition becomes on the wire: codes, texts, the end of the connection, silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from lumilter.session.events import Action, Data, Helo, Mail, Outcome, Rcpt, Reply
from support.policy import policy


def answer(tmp_path: Path, code: str) -> tuple[Outcome, Outcome, Outcome]:
    """The answers to HELO, where the code runs, and to the two commands after it."""
    with policy(tmp_path, f"function mod:validate_ehlo(str, ac, vctx) {code} end") as running:
        with running.conversation() as session:
            outcomes = session.handle(Helo("x")), session.handle(Mail("<a@b>")), session.handle(Rcpt("<c@d>"))
        assert not running.errors
        return outcomes


CLOSING = Reply(421, "4.7.0", ("Service closing transmission channel",))


@pytest.mark.parametrize(
    ("code", "action", "reply"),
    [
        ("vctx:set_code(550, '5.7.1 no')", Action.REJECT, Reply(550, "5.7.1", ("no",))),
        ("vctx:set_code('553', 'no')", Action.REJECT, Reply(553, "", ("no",))),
        ("vctx:set_code(450, 'later')", Action.TEMPFAIL, Reply(450, "", ("later",))),
        ("vctx.code = 550 vctx.note = 'no'", Action.REJECT, Reply(550, "", ("no",))),
        ("vctx.code = 550", Action.REJECT, Reply(550, "5.7.1", ("Rejected by policy",))),
        ("return vctx:pbp_action(451, '4.3.0 later')", Action.TEMPFAIL, Reply(451, "4.3.0", ("later",))),
        ("vctx:set_code(550, 'a') vctx:set_code(250, 'b')", Action.CONTINUE, None),
        ("vctx:set_code(250, 'hi')", Action.CONTINUE, None),
    ],
)
def test_a_code_refuses_the_command_and_no_more(tmp_path: Path, code: str, action: Action, reply: Reply | None) -> None:
    first, second, third = answer(tmp_path, code)
    assert (first.action, first.reply) == (action, reply)
    assert (second.action, third.action) == (Action.CONTINUE, Action.CONTINUE)


@pytest.mark.parametrize(
    ("code", "reply"),
    [
        ("vctx.disconnect = 1", Reply(421, "4.7.1", ("Service unavailable, try again later",))),
        ("vctx.disconnect = 1 vctx.note = 'bye'", Reply(421, "", ("bye",))),
        ("vctx.disconnect = true vctx:set_code(554, 'bye')", Reply(554, "", ("bye",))),
        ("vctx:disconnect()", Reply(421, "4.7.1", ("Service unavailable, try again later",))),
        ("vctx:disconnect(421, 'Go away')", Reply(421, "", ("Go away",))),
        ("vctx:disconnect('550', '5.7.1 Go away')", Reply(550, "5.7.1", ("Go away",))),
        ("return vctx:pbp_disconnect(421, '4.7.0 bye')", Reply(421, "4.7.0", ("bye",))),
    ],
)
def test_after_a_disconnect_everything_is_421(tmp_path: Path, code: str, reply: Reply) -> None:
    first, second, third = answer(tmp_path, code)
    assert first.reply == reply
    assert (second.reply, third.reply) == (CLOSING, CLOSING)
    assert second.action is Action.TEMPFAIL


def test_a_disconnect_at_a_recipient(tmp_path: Path) -> None:
    text = "function mod:validate_rcptto(msg, str, ac, vctx) vctx:disconnect(421, 'no') end"
    with policy(tmp_path, text) as running, running.conversation() as session:
        assert session.handle(Mail("<a@b>")).action is Action.CONTINUE
        assert session.handle(Rcpt("<c@d>")).reply == Reply(421, "", ("no",))
        assert session.handle(Rcpt("<e@f>")).reply == CLOSING
        assert session.handle(Data()).reply == CLOSING


@pytest.mark.parametrize("hook", ["validate_data", "validate_data_spool", "validate_data_spool_each_rcpt"])
def test_discard(tmp_path: Path, hook: str) -> None:
    with policy(tmp_path, f"function mod:{hook}(msg) msg:discard() end") as running:
        assert running.send()[-1] == Outcome(Action.DISCARD)


def test_a_tarpit_holds_the_reply_and_what_set_it_is_forgotten(tmp_path: Path) -> None:
    text = "function mod:validate_ehlo(str, ac, vctx) vctx:tarpit(0.01) vctx:set_code(550, 'no') end"
    with policy(tmp_path, text) as running, running.conversation() as session:
        assert session.handle(Helo("x")).reply == Reply(550, "", ("no",))
        assert session.handle(Mail("<a@b>")).action is Action.CONTINUE
