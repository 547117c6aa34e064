"""api.core_io: files that scripts forget to close do not pile up."""

from __future__ import annotations

from pathlib import Path

from support.policy import policy


def test_forgotten_files_are_closed(tmp_path: Path) -> None:
    text = """
    collectgarbage("stop")
    local kept = {}
    function mod:validate_ehlo()
      for i = 1, 500 do
        local file = msys.core.io_wrapper_open(DIR .. "/log", msys.core.O_CREAT | msys.core.O_WRONLY, 0600)
        assert(file:write("x") == 1)
        if i % 10 == 0 then kept[#kept + 1] = file end
      end
      for _, file in ipairs(kept) do assert(file:write("y") == 1) end
    end"""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with policy(tmp_path, f"local DIR = '{tmp_path}' {text}") as running:
        running.send()
        assert not running.errors
        assert len(list(Path("/proc/self/fd").iterdir())) - before < 250
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 5
