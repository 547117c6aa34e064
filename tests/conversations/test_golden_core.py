"""The golden conversations against the core: sessions and scripts, without a wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from lumilter import config
from lumilter.daemon.log import verdict_name
from lumilter.daemon.setup import setup_of
from lumilter.session.events import Event
from support.golden import Case, cases
from support.golden_daemon import write
from support.golden_play import Heard, Play
from support.policy import Policy

HERE = Path(__file__).parent


class CorePeer:
    """A conversation of an engine."""

    def __init__(self, running: Policy) -> None:
        self.conversation = running.engine.open()

    def ask(self, event: Event) -> Heard:
        outcome = self.conversation.handle(event)
        if outcome.reply is None:
            return Heard(verdict_name(outcome), outcome.edits)
        head = f"{outcome.reply.code} {outcome.reply.xcode}".strip()
        return Heard(f"{head} {' / '.join(outcome.reply.lines)}")


@pytest.mark.parametrize("case", cases(HERE, "core"), ids=lambda case: case.name)
def test_core(case: Case, tmp_path: Path) -> None:
    settings = config.load(write(case, tmp_path, tmp_path / "milter.sock"))
    running = Policy([Path(script.file) for script in settings.scripts])
    setup = setup_of(settings)
    running.limits, running.options = setup.lua.limits, setup.options
    with running:
        object.__setattr__(running.engine.setup, "peer_context", setup.peer_context)
        Play(case, lambda: CorePeer(running)).run()
        running.engine.call(lambda answer: answer(None))
    assert [str(error) for error in running.errors] == case.errors
    if case.prints is not None:
        assert running.printed == case.prints
