"""docs/sendmail.md: each configuration on the page attaches lumilter to a real Sendmail as the page says.

The law: the blocks are the page's own. Sendmail has a /run of its own, so paths stay; what is replaced is the ports,
and where lumilter finds that /run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from pwd import getpwnam

import pytest

from lumilter.config.load import load
from support.daemon import Daemon
from support.pages import placed, sections
from support.ports import free_port
from support.sendmail import PrivateSendmail, Unavailable
from support.sink import Sink
from support.site import Site
from support.smtp_client import SmtpClient

PAGE = sections("sendmail.md")
MC, TOML = "/etc/mail/sendmail.mc", "/etc/lumilter/lumilter.toml"
BASE = "The line that it needs"
SAFE = "define(`confDONT_BLAME_SENDMAIL', `Safe')dnl\n"
"""Sendmail's own strictness; the private one is milder, because its queue is below /tmp."""
DOWN = "451 4.3.2 Please try again later"
POLICY = """
    function mod:validate_rcptto(msg, str, ac, vctx)
      print("asked for " .. tostring(str) .. " by " .. tostring(ac.remote_addr))
      if tostring(str):find("^refused") then vctx:set_code(554, "5.7.1 not here") end
    end
    function mod:validate_data(msg) msg:header("X-Policy", "first") end
"""


class Attached:
    """What a test of a section works with: `site`, once `start` was called; `policy` behind `serve`."""

    def __init__(self, stack: ExitStack, directory: Path, heading: str) -> None:
        self._stack, self._directory = stack, directory
        self.run = directory / "mta/run/lumilter"
        self.run.mkdir(parents=True)
        self.ports = {name: str(free_port()) for name in ("8890", "8891", "587")}
        self.files = {name: placed(text, self.ports) for name, text in (PAGE[BASE] | PAGE[heading]).items()}

    def start(self, more: str = "", mc: str = "") -> Site:
        """Sendmail with the section's lines and `more`; or with `mc` instead of the section's."""
        sink = self._stack.enter_context(Sink())
        lines = (mc or self.files[MC]) + more
        mta = PrivateSendmail(self._directory / "mta", None, free_port(), sink.port, lines)
        try:
            self._stack.enter_context(mta)
        except Unavailable as error:
            pytest.skip(str(error))
        self.site = Site(mta, Path(), sink)
        return self.site

    def serve(self, policy: str = POLICY, name: str = "first", socket: str = "") -> Daemon:
        """lumilter with the section's lumilter.toml, or on another socket."""
        directory = self._directory / name
        directory.mkdir()
        toml = f'[milter]\nsocket = "{socket}"\n' if socket else self.files[TOML]
        (directory / "policy.lua").write_text(f'local mod = {{}}\n{policy}\nmsys.registerModule("policy", mod)\n')
        config = directory / "lumilter.toml"
        script = '\n[[script]]\nname = "policy"\nsource = "policy.lua"\n'
        config.write_text(placed(toml, {"/run/lumilter": str(self.run)}) + script)
        return self._stack.enter_context(Daemon(config, directory / "log"))

    def deliver(self, recipient: str, port: str = "") -> str:
        with SmtpClient(int(port) if port else self.site.port) as client:
            return client.deliver(recipient)

    def policies(self, recipient: str) -> list[bytes]:
        """The policies that the recipient's message came by."""
        return self.site.to(recipient).values(b"X-Policy")


@contextmanager
def attached(heading: str, directory: Path) -> Iterator[Attached]:
    with ExitStack() as stack:
        yield Attached(stack, directory, heading)


def works(page: Attached) -> None:
    """The policy refuses and edits."""
    assert page.deliver("refused@y.example") == "554 5.7.1 not here"
    assert page.deliver("bob@y.example").startswith("250 ")
    assert page.policies("bob@y.example") == [b"first"]


def timeouts(line: str) -> dict[str, int]:
    """The seconds of T= in a filter's line."""
    (equate,) = re.findall(r"T=([CSRE:;0-9ms]+)'", line)
    units = {"s": 1, "m": 60}
    return {part[0]: int(part[2:-1]) * units[part[-1]] for part in equate.split(";")}


def test_every_block_is_tried() -> None:
    source = Path(__file__).read_text()
    assert [heading for heading in PAGE if f'"{heading}"' not in source] == []


def test_the_line_that_it_needs(place: Path) -> None:
    with attached(BASE, place) as page:
        daemon = page.serve()
        page.start(SAFE)
        works(page)
        for section in PAGE.values():
            for line in section.get(MC, "").splitlines():
                if "lumilter" in line and "FILTER(" in line:
                    found = timeouts(line)
                    assert min(found["R"], found["E"]) > load(daemon.config).lua.deadline


def test_a_hook_that_takes_longer_than_sendmail_waits(place: Path) -> None:
    with attached(BASE, place) as page:
        page.serve("function mod:validate_rcptto(msg, str) if tostring(str):find('^slow') then msys.sleep(3) end end")
        page.start(mc=page.files[MC].replace("R:90s", "R:1s"))
        assert page.deliver("slow@y.example") == DOWN
        assert page.deliver("bob@y.example").startswith("250 ")


def test_the_sockets_directory(place: Path) -> None:
    nobody = getpwnam("nobody").pw_uid
    with attached(BASE, place) as page:
        page.serve()
        page.start(SAFE)
        for owner, mode, heard in (
            (0, 0o755, "250"),
            (nobody, 0o2710, "250"),
            (nobody, 0o755, "250"),
            (nobody, 0o700, "250"),
            (0, 0o775, "451"),
            (nobody, 0o775, "451"),
            (0, 0o777, "451"),
            (0, 0o1777, "451"),
        ):
            page.run.chmod(mode)
            for path in (page.run, page.run / "milter.sock"):
                os.chown(path, owner, 0)
            assert page.deliver("bob@y.example")[:3] == heard, (owner, oct(mode))
        assert "local socket name /run/lumilter/milter.sock unsafe" in page.site.mta.log


def test_a_tcp_port(place: Path) -> None:
    with attached("A TCP port instead", place) as page:
        page.serve()
        assert (page.run / "control.sock").is_socket()
        page.start(SAFE)
        works(page)


@pytest.mark.parametrize(
    ("flag", "banner", "answer"),
    [("F=T, ", "220 ", DOWN), ("F=R, ", "554 ", "550 5.0.0 Command rejected"), ("", "220 ", "250 ")],
    ids=["tempfail", "reject", "none"],
)
def test_lumilter_down(flag: str, banner: str, answer: str, place: Path) -> None:
    with attached("While lumilter does not answer", place) as page:
        base = placed(PAGE[BASE][MC], page.ports)
        assert base.replace("F=T, ", "") == page.files[MC]
        page.start(mc=base.replace("F=T, ", flag))
        with SmtpClient(page.site.port) as client:
            assert client.banner.startswith(banner)
            assert client.deliver("bob@y.example").startswith(answer)
        if not flag:
            assert page.policies("bob@y.example") == []


def test_several_filters_and_ports_of_their_own(place: Path) -> None:
    sign = """
    function mod:validate_rcptto(msg, str) print("the second saw " .. tostring(str)) end
    function mod:validate_data(msg) msg:header("X-Second", "after " .. (msg:header("X-Policy")[1] or "none")) end
"""
    with attached("Several filters, and ports of their own", place) as page:
        first = page.serve()
        site = page.start(SAFE)
        assert page.deliver("alone@y.example").startswith("250 ")  # the signer is not there
        second = page.serve(sign, "second", f"inet:{page.ports['8891']}@127.0.0.1")
        works(page)
        assert site.to("bob@y.example").values(b"X-Second") == [b"after first"]
        assert "refused@y.example" not in second.log
        assert page.deliver("refused@y.example", page.ports["587"]).startswith("250 ")
        assert site.to("refused@y.example").values(b"X-Second") == [b"after none"]
        assert first.stop() == 0
        assert page.deliver("late@y.example") == DOWN


def test_macros_need_no_setting(place: Path) -> None:
    none = "".join(
        f"define(`confMILTER_MACROS_{stage}', `j')dnl\n" for stage in ("CONNECT", "HELO", "ENVFROM", "ENVRCPT")
    )
    with attached(BASE, place) as page:
        page.serve('function mod:validate_data(msg) msg:header("X-Port", msg:listener_addr("port")) end')
        site = page.start(none)
        assert page.deliver("bob@y.example").startswith("250 ")
        assert site.to("bob@y.example").values(b"X-Port") == [str(site.port).encode()]
