"""msys.lock: those who wait for a lock do not keep the one who has it from going on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lumilter.host.tasks import Limits
from lumilter.session.events import Mail
from support.patience import until
from support.policy import policy


def test_who_waits_takes_no_thread_that_the_holder_needs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    text = f"""
require("msys.core")
function mod:validate_ehlo(name)
  msys.lock("one")
  print("has it")
  if tostring(name) == "first" then
    while go == nil do msys.sleep(0.01) end
  end
  assert(msys.readfile("{tmp_path}/file") == "x")
  msys.unlock("one")
  print("done")
end
function mod:validate_mailfrom() go = true end
"""
    with policy(tmp_path, text, limits=Limits(20_000_000, 30.0)) as running, ThreadPoolExecutor(8) as clients:
        running.engine.loop.pool.shutdown()
        running.engine.loop.pool = ThreadPoolExecutor(1)
        first = clients.submit(running.send, helo="first")
        until(lambda: running.printed == ["has it"])
        others = [clients.submit(running.send, helo="other") for _ in range(4)]
        until(lambda: running.engine.host.tasks.waiting == 5)
        with running.conversation() as conversation:
            conversation.handle(Mail("<a@example.org>"))
        for each in (first, *others):
            each.result(60)
    assert not running.errors
    assert running.printed.count("done") == 5
