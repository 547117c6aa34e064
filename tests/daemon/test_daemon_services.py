"""What an engine's services hold is given back, also where scripts do not load; sweeping outlives a lack of threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lumilter import config
from lumilter.daemon.engine import Engine
from lumilter.daemon.setup import setup_of
from lumilter.daemon.shared_state import sweep
from lumilter.errors import ScriptError
from lumilter.loop import Loop
from lumilter.state.memory import MemoryStore
from lumilter.state.state import State
from support.patience import until


@pytest.mark.parametrize("ending", ['error("on purpose")', ""])
def test_threads_of_datasources_end_with_the_engine(tmp_path: Path, ending: str) -> None:
    (tmp_path / "policy.lua").write_text(
        'require("msys.db") for row in msys.db.query("list", "select 1") do print(row[1]) end\n'
        f'msys.registerModule("policy", {{ validate_connect = function() end }})\n{ending}\n'
    )
    (tmp_path / "lumilter.toml").write_text(
        '[milter]\nsocket = "unix:/x"\n[[datasource]]\nname = "list"\nuri = "sqlite://"\n'
        '[[script]]\nname = "policy"\nsource = "policy.lua"\n'
    )

    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "db-list"]

    setup = setup_of(config.load(str(tmp_path / "lumilter.toml")))
    if ending:
        with pytest.raises(ScriptError, match="on purpose"):
            Engine(setup)
    else:
        engine = Engine(setup)
        assert threads()
        engine.stop()
    until(lambda: not threads(), 60)


class _Swept(MemoryStore):
    """Counts."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds = 0

    def sweep(self, most: int) -> bool:
        self.rounds += 1
        return False


def test_sweeping_goes_on_when_there_are_threads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lumilter.daemon.shared_state._EVERY", 0.01)
    store, loop = _Swept(), Loop()
    loop.pool.shutdown()  # it refuses work as a system does that has no thread left
    sweep(loop, State(store))
    for _ in range(5):
        loop.turn(0.05)
    assert store.rounds == 0
    loop.pool = ThreadPoolExecutor(1)
    end = time.monotonic() + 60
    while store.rounds < 2 and time.monotonic() < end:
        loop.turn(0.1)
    assert store.rounds >= 2
    loop.pool.shutdown()
    loop.close()
