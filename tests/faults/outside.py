"""What scripts ask of a hostile outside, again and again: by hand `python tests/faults/outside.py [TIMES] [FAULT...]`.

The law: an engine in this process, servers on loopback that do every wrong thing. Each fault has to be the error that
the script expects, another session has to get its answers meanwhile, and after the first tenth memory, descriptors,
threads and objects have to stay flat. A line for each fault; exit status 1 where one did not hold.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "milter"), str(ROOT / "tests")]

from lumilter.adapters.dns import FixtureResolver  # noqa: E402
from lumilter.adapters.http import Settings, WebClient  # noqa: E402
from lumilter.daemon.metrics import resident  # noqa: E402
from lumilter.services import Services  # noqa: E402
from lumilter.session.events import Close, Helo  # noqa: E402
from support.certificates import Authority  # noqa: E402
from support.http_server import http_server  # noqa: E402
from support.policy import CONNECT, Policy, policy  # noqa: E402
from support.raw_server import raw_server, until_headers_end  # noqa: E402

SCRIPT = """
local faults, wanted = {}, {}
local function request(name, url, why)
  faults[name] = function()
    local client = msys.http.client.new()
    if name == "slow" then client:set_timeout(0.01) end
    local ok, problem = client:do_request("GET", url)
    assert(ok == nil and problem:find(why, 1, true), problem)
    assert(client:get_status() == 0)
  end
end
request("down", DOWN, "refused")
request("slow", RAW .. "slow", "in time")
request("drops", RAW .. "drops", "without sending complete")
request("garbage", RAW .. "garbage", "illegal")
request("gigabyte", RAW .. "gigabyte", "larger than 100000 bytes")
request("certificate", TLS, "certificate verify failed")
request("redirects", GOOD .. "/loop", "more than 5 redirects")

function faults.callback()
  local c = curl.new()
  c:setopt(curl.OPT_URL, GOOD .. "/size/90000")
  c:setopt(curl.OPT_WRITEFUNCTION, function(_, data) error({ c }) end)
  local ok, problem = pcall(c.perform, c)
  assert(not ok and problem[1] == c)
end
function faults.xml()
  for _, text in ipairs({
    '<!DOCTYPE a [<!ENTITY a "' .. string.rep("ha", 100) .. '">'
      .. '<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><a>&c;</a>',
    '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><a x="&b;"/>', string.rep("<a>", 5000), "<a>\\0</a>",
  }) do
    local doc, problem = xml.parsexml(text)
    assert(doc == nil and type(problem) == "string")
  end
  local doc = xml.parsexml("<a>" .. string.rep("<b c='d'>e</b>", 50) .. "</a>")
  for node in doc:xpath("//b") do doc:root():addchild(node:unlink()):contents("f") end
  assert(doc:xpath("string(//b[50])") == "f")
end
function faults.json()
  for _, text in ipairs({ string.rep("[", 50000), string.rep('{"a":', 300) .. "1", "[1e999]", '{"a": \\0}' }) do
    local obj, code, problem = json.decode(text)
    assert(obj == nil and problem == json.strerror(code))
  end
  local own = json.new()
  for i = 1, 50 do own["k" .. i] = { i } end
  own.own = own
  assert(not pcall(tostring, own))
end
function faults.files()
  local flags = msys.core.O_CREAT | msys.core.O_APPEND | msys.core.O_WRONLY
  local log = msys.core.io_wrapper_open(DIR .. "/log", flags, 0600)
  assert(log:write("line\\n", 5) == 5)
  assert(not log:read())
  assert(not msys.core.io_wrapper_open(DIR .. "/none/log", flags))
  assert(not msys.readfile(DIR))
  local jlog = msys.core.io_wrapper_open("jlog://" .. DIR .. "/jlog=>reader", flags, 0600)
  assert(jlog:write("message", 7) == 7)
end
function mod:validate_ehlo(str)
  local name = tostring(str)
  if faults[name] then faults[name]() print(name) end
end
"""
FAULTS = (
    "down", "slow", "drops", "garbage", "gigabyte", "certificate", "redirects", "callback", "xml", "json", "files",
)  # fmt: skip
GROWTH = 10_000_000
"""Bytes of resident memory that a long run may add; what glibc does not give back is in it."""
LONG = 5_000
"""Times from which a run is long. In a shorter one a process still fills its arenas: only a gross leak shows."""


def hostile(sock: socket.socket) -> None:
    """A server that does what the URL says."""
    asked = until_headers_end(sock)
    if b"/slow" in asked:
        while sock.recv(65536):
            pass
    elif b"/drops" in asked:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    elif b"/garbage" in asked:
        sock.sendall(b"220 mail.example ESMTP\r\n\r\n")
    else:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        for _ in range(1 << 14):
            sock.sendall(bytes(65536))


@contextlib.contextmanager
def surrounded() -> Iterator[Policy]:
    """The policy, with its servers."""
    with (
        tempfile.TemporaryDirectory() as name,
        http_server() as good,
        http_server(Authority.make(Path(name))) as strange,
        raw_server(hostile) as raw,
        socket.create_server(("127.0.0.1", 0)) as free,
    ):
        down = f"http://127.0.0.1:{free.getsockname()[1]}/"
        free.close()
        values = {"DOWN": down, "RAW": raw.url, "TLS": strange.url + "/", "GOOD": good.url, "DIR": name}
        text = "local " + ", ".join(values) + " = " + ", ".join(f"'{value}'" for value in values.values()) + SCRIPT
        web = WebClient(Settings(max_response=100_000, timeout=20))
        services = Services(FixtureResolver({}), hostname="mx.example.com", web=web)
        with policy(Path(name), text, services=services, max_memory=40 << 20) as running:
            stop = threading.Event()
            threading.Thread(target=forget, args=(stop, [good.seen, strange.seen, raw.open]), daemon=True).start()
            yield running
            stop.set()


def forget(stop: threading.Event, lists: list[list[object]]) -> None:
    """What the servers remember would look like a leak."""
    while not stop.wait(0.2):
        for each in lists:
            del each[:-50]


def figures(running: Policy) -> dict[str, int]:
    """What has to stay flat. The Lua state is collected first, the numbers that scripts forgot are given back."""
    state = running.engine.host.state

    def collect(answer: object) -> None:
        for _ in range(2):
            state.runtime.execute("collectgarbage()")
            state.boot.flush()
        gc.collect()  # a JSON value that holds itself waits for it
        answer(None)  # type: ignore[operator]

    running.engine.call(collect)
    return {
        "rss": resident(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "objects": len(running.engine.host.bridge.handles),
    }


def repeat(running: Policy, fault: str, times: int) -> dict[str, int]:
    """How much the figures have grown since the first tenth. AssertionError where an answer was another one."""
    stop, answered = threading.Event(), itertools.count()

    def others() -> None:
        with running.conversation() as another:
            while not stop.is_set():
                assert another.handle(Helo("good")).reply is None
                next(answered)
                time.sleep(0.002)

    thread = threading.Thread(target=others)
    thread.start()
    before: dict[str, int] = {}
    try:
        for number in range(times):
            if number == max(1, times // 10):
                before = figures(running)
            conversation = running.engine.open()
            conversation.handle(CONNECT)
            conversation.handle(Helo(fault))
            conversation.handle(Close())
            assert not running.errors, running.errors[0]
            running.runs.clear()
    finally:
        stop.set()
        thread.join()
    assert running.printed == [fault] * times
    running.printed.clear()
    assert next(answered) > 1
    after = figures(running)
    return {name: after[name] - before[name] for name in after}


def main(times: int, faults: list[str]) -> int:
    """A line for each fault."""
    wrong = 0
    with surrounded() as running:
        for fault in faults or FAULTS:
            began = time.monotonic()
            grown = repeat(running, fault, times)
            most = GROWTH if times >= LONG else 5 * GROWTH
            is_flat = grown["rss"] < most and max(grown["descriptors"], grown["threads"], grown["objects"]) < 60
            wrong += not is_flat
            shown = ", ".join(f"{name} {value:+}" for name, value in grown.items())
            print(f"{fault}: {times} times in {time.monotonic() - began:.0f} s: {shown}{'' if is_flat else ' WRONG'}")
            sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    status = main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, sys.argv[2:])
    sys.stdout.flush()
    os._exit(status)  # threads of servers may still be in the middle of something
