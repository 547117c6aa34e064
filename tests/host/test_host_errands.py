"""host.errands: whatever becomes of an errand, the session goes on."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lumilter.errors import LumilterError
from lumilter.host import errands
from lumilter.session.steps import Errand


class Works:
    """In the place of host.works.Works: done at once."""

    def begin(self, kind: str, work: Callable[[], Any], answer: Callable[[Any], None]) -> None:
        try:
            answer(work())
        except Exception as error:
            answer(error)


def fails(error: Exception) -> Callable[[], Any]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        (lambda: lambda: None, ""),
        (lambda: fails(LumilterError("the disk is full")), "was not done: the disk is full"),
        (lambda: fails(KeyError("x")), "internal error while something was done with a message"),
        (fails(LumilterError("it is in a loop")), "was not done: it is in a loop"),
        (fails(KeyError("x")), "internal error while something was done with a message"),
    ],
)
def test_it_is_answered_once(
    caplog: pytest.LogCaptureFixture, begin: Callable[[], Callable[[], None]], said: str
) -> None:
    answers: list[None] = []
    host: Any = SimpleNamespace(works=Works())
    errands.perform(host, Errand(begin), answers.append)
    assert answers == [None]
    assert said in caplog.text
    assert bool(caplog.text) is bool(said)
