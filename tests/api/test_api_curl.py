"""api.curl: compressed answers, an object in several sessions, transfers that are given up, forgotten objects."""

from __future__ import annotations

import gzip
import socket
import threading
from pathlib import Path

import pytest

from lumilter.api.curl import CurlHandle
from lumilter.host.tasks import Limits
from lumilter.session.events import Helo
from support.http_server import http_server
from support.patience import until
from support.policy import policy
from support.raw_server import raw_server, until_headers_end

GET = """
local function get(url, set)
  local c, body = curl.new(), {}
  c:setopt(curl.OPT_URL, url)
  c:setopt(curl.OPT_WRITEFUNCTION, function(_, data) body[#body + 1] = data return #data end)
  if set then set(c) end
  local ok, message, code = c:perform()
  return ok, message or table.concat(body), code
end
"""


@pytest.mark.parametrize(
    ("encoding", "wanted"), [("gzip", "true\thello"), ("br", "nil\tthe answer is encoded as 'br'")]
)
def test_compressed_answers(tmp_path: Path, encoding: str, wanted: str) -> None:
    def talk(sock: socket.socket) -> None:
        body = gzip.compress(b"hello")
        asked = until_headers_end(sock)
        assert b"Accept-Encoding: gzip, deflate\r\n" in asked
        sock.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding.encode(), len(body))
        )
        sock.sendall(body)

    with raw_server(talk) as server:
        text = f"""{GET} function mod:validate_ehlo()
          print(get("{server.url}", function(c) c:setopt(curl.OPT_ENCODING, "") end))
        end"""
        with policy(tmp_path, text) as running:
            running.send()
            assert not running.errors
            assert running.printed[0].startswith(wanted)


def test_one_object_in_two_sessions(tmp_path: Path) -> None:
    text = """
    local c = curl.new()
    function mod:validate_ehlo(str)
      print(str, pcall(function() c:setopt(curl.OPT_URL, URL .. str) return c:perform() end))
    end"""
    with http_server() as server, policy(tmp_path, f"URL = '{server.url}/slow/' {text}") as running:
        with running.conversation() as one, running.conversation() as two:
            slow = threading.Thread(target=one.handle, args=(Helo("2"),))
            slow.start()
            while not server.seen:
                pass
            two.handle(Helo("0"))
            slow.join()
            two.handle(Helo("0.1"))
        refusal = "c:setopt: the object makes a transfer for another session: use one of the session's own"
        assert running.printed == [f"0\tfalse\tpolicy.lua:4: {refusal}", "2\ttrue\ttrue", "0.1\ttrue\ttrue"]


def test_a_transfer_that_the_deadline_ends(tmp_path: Path) -> None:
    def talk(sock: socket.socket) -> None:
        until_headers_end(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
        while sock.recv(65536):
            pass

    text = """
    local c = curl.new()
    local url = URL
    function mod:validate_ehlo()
      c:setopt(curl.OPT_URL, url)
      url = GOOD
      c:setopt(curl.OPT_WRITEFUNCTION, function(_, data) print(data) return #data end)
      print(c:perform())
    end"""
    with raw_server(talk) as server, http_server() as good:
        setup = f"URL, GOOD = '{server.url}', '{good.url}/path' {text}"
        with policy(tmp_path, setup, limits=Limits(20_000_000, 1.0)) as running:
            running.send()
            assert [type(error).__name__ for error in running.errors] == ["LimitError"]

            def sent_again() -> bool:
                running.errors.clear()
                running.send()
                return not running.errors

            until(sent_again)  # the object is free when the transfer's thread has ended
            assert running.printed == ["hello", "hello from /path", "true"]


def test_objects_that_are_forgotten(tmp_path: Path) -> None:
    """A callback that mentions its own object does not keep it, nor what a transfer holds."""
    text = """
    function mod:validate_ehlo()
      for _ = 1, 200 do
        local c = curl.new()
        c:setopt(curl.OPT_URL, URL)
        c:setopt(curl.OPT_WRITEFUNCTION, function(_, data) c:setopt(curl.OPT_URL, URL) error("enough", 0) end)
        c:setopt(curl.OPT_WRITEDATA, c)
        pcall(c.perform, c)
      end
    end
    function mod:validate_mailfrom()
      collectgarbage() collectgarbage()
    end"""
    with http_server() as server, policy(tmp_path, f"URL = '{server.url}/size/100000' {text}") as running:
        running.send()
        assert not running.errors
        handles = running.engine.host.bridge.handles

        def few_are_left() -> bool:
            running.engine.call(lambda answer: answer(running.engine.host.collect()))
            return sum(isinstance(each, CurlHandle) for each in handles._objects.values()) < 20

        until(few_are_left)  # threads of the last transfers may be about to end
