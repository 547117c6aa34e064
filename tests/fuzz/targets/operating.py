"""What an operator types: keys of the configuration and their values, and lines of the console."""

from __future__ import annotations

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import soup
from lumilter.cli.prompt import completions
from lumilter.config import Config, live
from lumilter.config.sections.running import Pool
from lumilter.errors import LumilterError

CONFIG = Config(pools=(Pool("IO"), Pool("lua")))
WORDS = [
    *sorted({word for pair in live.LIVE for word in pair}), "IO", "io", "POOL", "=", "1", "0", "1.5", "1e999", "-1",
    "nan", "true", "off", '"', "'x'", "[1]", "[" * 300, "1\n[x]", "\0", "\ud800", "9" * 400, "2026-01-01", "{a = 1}",
    "#", "",
]  # fmt: skip


@target(st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=6), examples=400)
def settings(words: list[str]) -> None:
    """Any words are another Config with that one key changed, or a LumilterError; a key is shown in one line."""
    found = live.find(CONFIG, words)
    assert found is None or "\n" not in str(found)
    try:
        changed, key = live.changed(CONFIG, words)
    except LumilterError:
        return
    assert (key.table, key.key.name) in live.LIVE
    others = [(scope, str(each)) for scope, each in live.keys(changed) if each.key is not key.key]
    assert others == [(scope, str(each)) for scope, each in live.keys(CONFIG) if each.key is not key.key]


@target(
    st.lists(soup(["config ", "get", "NAME", "[", "x ", " "], 5), max_size=5),
    soup(["config", " ", "get", "x", "\t"], 6),
    examples=200,
)
def completion(names: list[str], line: str) -> None:
    """Whatever was typed, what completes it begins with its last word."""
    last = line.lstrip().split(" ")[-1] if line.strip() else ""
    assert all(word.startswith(last) for word in completions(names, line))
