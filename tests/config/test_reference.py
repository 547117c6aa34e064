"""conf/lumilter.toml is what the schema generates, and says what the defaults are."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from lumilter.config import Config, load
from lumilter.config.declare import Key, declared
from lumilter.config.reference import COMMAND, reference

FILE = Path(__file__).parents[2] / "conf/lumilter.toml"


def test_it_is_not_stale() -> None:
    assert FILE.read_text() == reference(), f"run: {COMMAND}"
    assert COMMAND in FILE.read_text().splitlines()[0]


def test_as_it_is_it_configures_nothing() -> None:
    config = load(FILE)
    assert config == Config(file=str(FILE))


def test_its_settings_are_the_defaults(tmp_path: Path) -> None:
    text = re.sub(r"^#(?=[\[a-z])", "", FILE.read_text(), flags=re.MULTILINE)
    script = tmp_path / "policy.lua"
    script.touch()
    (tmp_path / "lumilter.toml").write_text(text.replace("/etc/lumilter/policy.lua", str(script)))
    config = load(tmp_path / "lumilter.toml")
    assert config.contexts[0].set == {"trusted_mx": "yes"}
    assert config.scripts[0].file == str(script)
    assert config.bindings[0].name == "mta1"
    assert config.routes[0].nexthop == "[192.0.2.30]:2525"
    assert config.datasources[0].name == "customers"
    assert config.series[0].name == "rcpt_valid"
    assert config.pools[0].name == "IO"
    arrays = {name: () for name, (_, table) in _attributes().items() if table.many}
    assert replace(config, **arrays) == Config(file=config.file)


def _attributes() -> dict[str, tuple[str, Any]]:
    return {attribute: (name, table) for name, (attribute, table) in declared(Config).items()}


def test_every_key_is_explained() -> None:
    for _, table in declared(Config).values():
        assert not isinstance(table, Key)
        assert table.of.__doc__
        for _, key in declared(table.of).values():
            assert isinstance(key, Key)
            assert key.doc.endswith("."), key.name
