"""docs/scale-out.md: its configurations are ones, and its policy does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lumilter.config import load
from lumilter.session.events import Mail, Rcpt
from support.policy import policy

PAGE = Path(__file__).parents[2] / "docs/scale-out.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("text", blocks("toml"))
def test_configurations(text: str, tmp_path: Path) -> None:
    file = tmp_path / "lumilter.toml"
    file.write_text(text)
    assert load(file)


def test_the_policy_lets_exactly_30_recipients_pass(tmp_path: Path) -> None:
    (text,) = blocks("lua")
    define = 'function mod:init() msys.audit_series.define("recipients", "cidr", 900, 4) return true end\n'
    with policy(tmp_path, define + text) as running, running.conversation() as session:
        session.handle(Mail("<ann@example.org>"))
        replies = [session.handle(Rcpt(f"<bob{number}@example.com>")).reply for number in range(40)]
        assert not running.errors
    assert [reply.code if reply else 250 for reply in replies] == [250] * 30 + [452] * 10


def test_every_table_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`\[(\w+)\]", PAGE.read_text()))
    known = set(re.findall(r"^#?\[(\w+)\]", (PAGE.parents[1] / "conf/lumilter.toml").read_text(), re.MULTILINE))
    assert named
    assert named <= known
