"""Mail that a timer makes and sends, with no session: it goes out by its binding, and a kept message by itself."""

from __future__ import annotations

from pathlib import Path

from support.daemon import Daemon, write
from support.milter_client import MilterClient
from support.sink import Sink

POLICY = """
require("msys.core")
require("msys.extended.message")
require("msys.extended.message_routing")
require("msys.timer")
local kept

function mod:validate_data(msg, ac, vctx)
  kept = msg:copy()
end

function mod:init()
  timer = msys.timer.every(0.5, function()
    if not kept then return end
    local original
    original, kept = kept, nil
    local new = msys.core.ec_message_new(nil)
    new:build({ Subject = "report" }, { ["text/plain"] = "one\\ntwo\\n" }, {
      { content = original }, { type = "text/csv", name = "a.csv", content = "1,2" },
    })
    new:header("X-From-Timer", { "a", "b" }, "append")
    assert(new:text_replace("two", "three"))
    new:mime(false):addLastChild(new:makePart("text/plain", "last"))
    new:binding("one")
    assert(new:inject("timer@example.org", "one@example.com, two@other.example"))
    original:header("X-Seen", "1")
    assert(original:body_replace("needle", "pin"))
    assert(original:inject(original:mailfrom(), original:rcptto()))
  end)
  return true
end
"""


def test_a_timer_sends_mail(tmp_path: Path) -> None:
    socket = tmp_path / "m.sock"
    with Sink() as sink:
        config = f"""
[inject]
server = "smtp:inet:{sink.port}@127.0.0.1"
outbox = "{tmp_path}/outbox"
retry = 1
[routing]
enabled = true
[[binding]]
name = "one"
address = "127.0.0.2"
[[route]]
domain = "other.example"
nexthop = "[192.0.2.1]"
"""
        with Daemon(write(tmp_path / "d", socket, [POLICY], config), tmp_path / "log") as daemon:
            with MilterClient(str(socket), timeout=60) as mta:
                mta.negotiate()
                mta.connect()
                mta.helo()
                mta.mail("<ann@example.org>")
                mta.rcpt("<bob@example.com>")
                mta.data()
                mta.header(b"Subject", b"x")
                mta.eoh()
                mta.body(b"a needle\r\n" + b"long line\r\n" * 200_000)  # so long that it is in a file
                assert mta.eom().kind == "continue"
                mta.quit()
            messages = {message.recipients: message for message in sink.wait(3, 60)}
            assert not daemon.errors
    one, two = messages["one@example.com",], messages["two@other.example",]
    assert one.values(b"X-Lumilter-Route") == [b"binding-one:"]
    assert two.values(b"X-Lumilter-Route") == [b"binding-one:[192.0.2.1]"]
    assert one.body == two.body
    assert one.sender == "timer@example.org"
    assert one.values(b"X-From-Timer") == [b"a", b"b"]
    assert b"three" in one.body
    assert b"a needle" in one.body
    kept = messages["bob@example.com",]
    assert kept.sender == "ann@example.org"
    assert kept.body.startswith(b"a pin\r\n")
    assert kept.values(b"X-Lumilter-Hops") == [b"1"]
