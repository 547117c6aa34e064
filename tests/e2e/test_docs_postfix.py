"""docs/postfix.md: each configuration on the page attaches lumilter to a real Postfix as the page says.

The law: the blocks are the page's own. What is replaced in them are the paths, ports and the user of
`Attached.places` and nothing else; what is not in a block is said by the page and seen here.
"""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lumilter.config.load import load
from support.daemon import Daemon
from support.pages import placed, sections
from support.patience import until
from support.ports import free_port
from support.postfix import PrivatePostfix, settings
from support.sink import Sink
from support.site import PostfixSite
from support.smtp_client import SmtpClient

ROOT = Path(__file__).parents[2]
PAGE = sections("postfix.md")
MAIN, MASTER, TOML = "/etc/postfix/main.cf", "/etc/postfix/master.cf", "/etc/lumilter/lumilter.toml"
BASE = "The lines that it needs"
CHROOT = "A chrooted smtpd"
DOWN = "451 4.7.1 Service unavailable - try again later"
POLICY = """
    function mod:validate_rcptto(msg, str, ac, vctx)
      print("asked for " .. tostring(str) .. " by " .. tostring(ac.remote_addr))
      if tostring(str):find("^refused") then vctx:set_code(550, "5.7.1 not here") end
    end
    function mod:validate_data(msg) msg:header("X-Policy", "first") end
"""


class Attached:
    """What a test of a section works with: `site`, once `start` was called; `policy` behind `serve`."""

    def __init__(self, stack: ExitStack, directory: Path, *headings: str) -> None:
        """headings: sections of the page, each on top of the one before."""
        self._stack, self._directory = stack, directory
        self.spool, self.etc = directory / "mta/spool", directory / "mta/etc"
        self.etc.mkdir(parents=True)
        self.spool.mkdir()
        (directory / "run").mkdir()
        self.port, self.submission = free_port(), free_port()
        self.places = {
            "/run/lumilter": f"{directory}/run",
            "/var/spool/postfix": str(self.spool),
            "/etc/postfix": str(self.etc),
            "-o lumilter": "-o root",
            "8890": str(free_port()),
            "8891": str(free_port()),
            "10026": str(free_port()),
            "submission": f"127.0.0.1:{self.submission}",
            "smtp/inet": f"127.0.0.1:{self.port}/inet",
            "postconf": f"postconf -c {self.etc}",
            "postfix reload": f"postfix -c {self.etc} reload",
        }
        self.files: dict[str, str] = {}
        self.main: dict[str, str] = {}
        for heading in headings:
            for name, text in PAGE[heading].items():
                self.files[name] = placed(text, self.places)
            self.main |= settings(self.files.get(MAIN, ""))

    def start(self, chroot: bool = False, master: Sequence[str] = (), **main: str) -> PostfixSite:
        """Postfix with the sections' main.cf, master.cf and other files below /etc/postfix."""
        for name, text in self.files.items():
            if name.startswith("/etc/postfix/") and name not in (MAIN, MASTER):
                (self.etc / Path(name).name).write_text(text)
        sink = self._stack.enter_context(Sink())
        services = [*self.files.get(MASTER, "").splitlines(), *master]
        mta = PrivatePostfix(self._directory / "mta", "", self.port, sink.port, {**self.main, **main}, services, chroot)
        self._stack.enter_context(mta)
        self.site = PostfixSite(mta, Path(), sink)
        return self.site

    def serve(self, policy: str = POLICY, name: str = "first", socket: str = "") -> Daemon:
        """lumilter with the sections' lumilter.toml, or on another socket."""
        directory = self._directory / name
        directory.mkdir()
        toml = f'[milter]\nsocket = "{socket}"\nsocket_group = "postfix"\n' if socket else self.files[TOML]
        (directory / "policy.lua").write_text(f'local mod = {{}}\n{policy}\nmsys.registerModule("policy", mod)\n')
        config = directory / "lumilter.toml"
        config.write_text(toml + '\n[[script]]\nname = "policy"\nsource = "policy.lua"\n')
        return self._stack.enter_context(Daemon(config, directory / "log"))

    def shell(self) -> None:
        """The sections' commands."""
        subprocess.run(["sh", "-ec", self.files["shell"]], check=True, capture_output=True, cwd=self._directory)

    def deliver(self, recipient: str, port: int = 0) -> str:
        with SmtpClient(port or self.port) as client:
            return client.deliver(recipient)

    def policies(self, recipient: str) -> list[bytes]:
        """The policies that the recipient's message came by."""
        return self.site.to(recipient).values(b"X-Policy")


@contextmanager
def attached(*headings: str, directory: Path) -> Iterator[Attached]:
    with ExitStack() as stack:
        yield Attached(stack, directory, *headings)


def works(page: Attached) -> None:
    """The policy refuses and edits."""
    assert page.deliver("refused@y.example") == "550 5.7.1 not here"
    assert page.deliver("bob@y.example").startswith("250 ")
    assert page.policies("bob@y.example") == [b"first"]


def root_of(site: PostfixSite) -> Path:
    """Where the last smtpd that was connected to has its root directory."""
    pid = site.mta.maillog().rpartition("postfix/smtpd[")[2].partition("]")[0]
    return Path(f"/proc/{pid}/root").readlink()


def test_every_block_is_tried() -> None:
    source = Path(__file__).read_text()
    assert [heading for heading in PAGE if f'"{heading}"' not in source] == []


def test_the_lines_that_it_needs(place: Path) -> None:
    with attached(BASE, directory=place) as page:
        daemon = page.serve()
        socket = place / "run/milter.sock"
        assert (oct(socket.stat().st_mode & 0o777), socket.group()) == ("0o660", "postfix")
        page.start(smtpd_recipient_restrictions="check_recipient_access inline:{absent@y.example=REJECT}")
        works(page)
        assert page.deliver("absent@y.example").startswith("554 5.7.1 ")
        assert "asked for bob@y.example" in daemon.log
        assert "absent@y.example" not in daemon.log


def test_a_chrooted_smtpd_does_not_find_a_socket_outside(place: Path) -> None:
    with attached(BASE, directory=place) as page:
        page.serve()
        page.start(chroot=True)
        assert page.deliver("bob@y.example") == DOWN
        why = f"connect to Milter service unix:{place}/run/milter.sock: No such file or directory"
        page.site.mta.wait_log(why)


def test_a_chrooted_smtpd(place: Path) -> None:
    with attached(BASE, CHROOT, directory=place) as page:
        page.shell()
        page.serve()
        page.start(chroot=True)
        works(page)
        with SmtpClient(page.port):
            page.site.mta.wait_log("connect from")
            assert root_of(page.site) == page.spool
        assert (place / "run/control.sock").is_socket()
        socket = Path(tomllib.loads(page.files[TOML])["milter"]["socket"].removeprefix("unix:"))
        status = socket.parent.stat()
        assert (oct(status.st_mode & 0o7777), socket.parent.group(), socket.group()) == ("0o2710", "postfix", "postfix")
        assert "/var/spool/postfix/lumilter" in (ROOT / "systemd/lumilter.service").read_text()


def test_without_the_chroot(place: Path) -> None:
    with attached(BASE, "Without the chroot", directory=place) as page:
        page.serve()
        page.start(chroot=True)
        assert page.deliver("bob@y.example") == DOWN
        page.shell()
        until(lambda: page.deliver("bob@y.example").startswith("250 "))
        works(page)
        assert root_of(page.site) == Path("/")
        page.site.mta.reload(non_smtpd_milters="$smtpd_milters")
        page.site.mta.submit(b"Subject: x\n\nx\n", "local@y.example")
        assert page.policies("local@y.example") == [b"first"]


def test_a_tcp_port(place: Path) -> None:
    with attached(BASE, "A TCP port instead", directory=place) as page:
        page.serve()
        page.start()
        works(page)


def test_lumilter_down(place: Path) -> None:
    """The page's table, and what its first lines say."""
    actions = ("tempfail", "reject", "quarantine")
    ports = {action: free_port() for action in actions}
    services = [
        f"127.0.0.1:{ports[action]} inet n - n - - smtpd -o milter_default_action={action}" for action in actions
    ]
    with attached(BASE, "While lumilter does not answer", directory=place) as page:
        page.start(master=services)
        assert page.deliver("accepted@y.example").startswith("250 ")
        assert page.policies("accepted@y.example") == []
        assert settings(PAGE[BASE][MAIN])["milter_default_action"] == "tempfail"
        assert page.deliver("bob@y.example", ports["tempfail"]) == DOWN
        assert page.deliver("bob@y.example", ports["reject"]).startswith("550 5.5.0 ")
        assert page.deliver("held@y.example", ports["quarantine"]).startswith("250 ")
        (held,) = page.site.mta.queue()
        assert (held["queue_name"], held["recipients"][0]["address"]) == ("hold", "held@y.example")
        assert page.site.reached() == {"accepted@y.example"}


SLOW = "function mod:validate_rcptto(msg, str, ac, vctx) msys.sleep(2) end"


def test_a_hook_that_takes_longer_than_postfix_waits(place: Path) -> None:
    with attached(BASE, directory=place) as page:
        page.serve(SLOW)
        impatient = free_port()
        page.start(master=[f"127.0.0.1:{impatient} inet n - n - - smtpd -o milter_command_timeout=1s"])
        assert page.deliver("bob@y.example", impatient) == DOWN
        assert page.deliver("bob@y.example").startswith("250 ")


@pytest.mark.parametrize("heading", [BASE, "Timeouts"])
def test_postfix_waits_longer_than_lumilter(heading: str, place: Path) -> None:
    with attached(BASE, heading, directory=place) as page:
        daemon = page.serve()
        deadline = load(daemon.config).lua.deadline
        page.start()
        for name in ("milter_command_timeout", "milter_content_timeout"):
            command = ["/usr/sbin/postconf", "-c", page.etc, "-hx", name]
            seconds = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            assert int(seconds.removesuffix("s")) > deadline
        works(page)


def test_clients_and_services_of_their_own(place: Path) -> None:
    with attached(BASE, CHROOT, "Clients and services of their own", directory=place) as page:
        page.shell()
        page.serve()
        (page.spool / "lumilter-submission").mkdir()
        second = POLICY.replace("first", "second")
        page.serve(second, "second", f"unix:{page.spool}/lumilter-submission/milter.sock")
        page.start(
            chroot=True,
            smtpd_authorized_xclient_hosts="127.0.0.1",
            mynetworks="127.0.0.1 192.0.2.0/24",
            non_smtpd_milters="$smtpd_milters",
        )
        works(page)
        with SmtpClient(page.port) as client:
            client.ask("XCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]")
            assert client.deliver("exempt@y.example").startswith("250 ")
        assert page.policies("exempt@y.example") == []
        assert page.deliver("back@y.example", int(page.places["10026"])).startswith("250 ")
        assert page.policies("back@y.example") == []
        assert page.deliver("submitted@y.example", page.submission).startswith("250 ")
        assert page.policies("submitted@y.example") == [b"second"]


def test_postscreen_hands_its_clients_on(place: Path) -> None:
    port = free_port()
    services = [
        f"127.0.0.1:{port} inet n - n - 1 postscreen",
        "smtpd pass - - n - - smtpd",
        "dnsblog unix - - n - 0 dnsblog",
        "tlsproxy unix - - n - 0 tlsproxy",
    ]
    with attached(BASE, directory=place) as page:
        daemon = page.serve()
        page.start(master=services, postscreen_access_list="permit_mynetworks")
        assert page.deliver("refused@y.example", port) == "550 5.7.1 not here"
        assert page.deliver("bob@y.example", port).startswith("250 ")
        assert page.policies("bob@y.example") == [b"first"]
        assert "asked for bob@y.example by 127.0.0.1:" in daemon.log


LOCAL = """
    local function answer(at, vctx, name)
      local code = name:match("^" .. at .. "(%d+)@")
      if code then vctx:set_code(tonumber(code), code:sub(1, 1) .. ".7.1 no") end
    end
    function mod:validate_connect(ac, vctx) print("connect " .. tostring(ac.remote_addr)) end
    function mod:validate_ehlo(str, ac, vctx) print("ehlo " .. tostring(str)) end
    function mod:validate_mailfrom(str, ac, vctx) answer("mail", vctx, tostring(str)) end
    function mod:validate_rcptto(msg, str, ac, vctx)
      answer("rcpt", vctx, tostring(str))
      if tostring(str):find("^dropped") then msg:discard() end
    end
    function mod:validate_rcptto_list(list, vctx) answer("data", vctx, tostring(list.object)) end
    function mod:validate_data(msg, ac, vctx)
      if msg:rcptto():find("^gone") then msg:discard() end
      answer("end", vctx, msg:rcptto())
      msg:header("X-Policy", "first")
    end
"""
"""What an address begins with says where mail is refused, and with which code."""


def test_mail_from_this_machine(place: Path) -> None:
    with attached(BASE, CHROOT, "Mail from this machine", directory=place) as page:
        page.shell()
        site = page.start(chroot=True)
        site.mta.submit(b"To: early@y.example\n\nx\n", "-t")  # lumilter is down
        site.mta.wait_log("milter-reject: CONNECT from localhost[127.0.0.1]: 4.7.1 Service unavailable")
        daemon = page.serve(LOCAL)
        site.mta.submit(b"To: bob@y.example\nSubject: x\n\nx\n", "-t")
        assert page.policies("bob@y.example") == [b"first"]
        assert page.policies("early@y.example") == [b"first"]
        assert "connect 127.0.0.1:0 " in daemon.log
        assert "ehlo localhost " in daemon.log

        site.sink.messages.clear()
        senders = {"mail550": "mail550@x.example", "data550": "data@x.example", "end550": "end@x.example"}
        for name, sender in senders.items():
            site.mta.submit(b"Subject: x\n\nx\n", "-f", sender, f"{name}@y.example")
        for sender in senders.values():
            bounce = site.to(sender)
            assert (bounce.sender, bounce.values(b"X-Policy")) == ("", [])
        site.mta.submit(b"Subject: x\n\nx\n", "gone@y.example")
        site.mta.submit(b"Subject: x\n\nx\n", "kept@y.example", "dropped@y.example")
        assert site.to("kept@y.example").recipients == ("kept@y.example",)
        site.mta.wait_empty()
        assert site.reached() == {*senders.values(), "kept@y.example"}

        stay = ("rcpt550", "rcpt450", "data450", "end450")
        for name in stay:
            site.mta.submit(b"Subject: x\n\nx\n", f"{name}@y.example")
        site.mta.submit(b"Subject: x\n\nx\n", "-f", "mail450@x.example", "ann@y.example")
        site.mta.wait_log("can't reject recipient in non-smtpd(8) submission")
        site.mta.submit(b"Subject: x\n\nx\n", "last@y.example")
        site.to("last@y.example")
        until(lambda: site.mta.maillog().count("4.7.1 no") >= 4)
        waiting = [(entry["queue_name"], entry["recipients"][0]["address"]) for entry in site.mta.queue()]
        assert sorted(waiting) == sorted(("maildrop", f"{name}@y.example") for name in (*stay, "ann"))


def test_a_policy_that_leaves_this_machines_mail_alone(place: Path) -> None:
    with attached(BASE, CHROOT, "Mail from this machine", directory=place) as page:
        page.shell()
        page.serve(page.files["policy.lua"])
        site = page.start(chroot=True)
        assert page.deliver("bob@y.example") == "550 5.1.1 nobody is here"
        site.mta.submit(b"Subject: x\n\nx\n", "bob@y.example")
        site.to("bob@y.example")


def test_other_milters(place: Path) -> None:
    see = """
    function mod:validate_rcptto(msg, str) print("the second saw " .. tostring(str)) end
    function mod:validate_data(msg) msg:header("X-Second", "after " .. msg:header("X-Policy")[1]) end
"""
    with attached(BASE, CHROOT, "Other milters", directory=place) as page:
        page.shell()
        first = page.serve()
        page.start(chroot=True)
        assert page.deliver("alone@y.example").startswith("250 ")  # the other one is not there
        assert page.site.to("alone@y.example").values(b"X-Second") == []
        second = page.serve(see, "second", f"inet:{page.places['8891']}@127.0.0.1")
        works(page)
        assert page.site.to("bob@y.example").values(b"X-Second") == [b"after first"]
        assert "the second saw bob@y.example" in second.log
        assert "refused@y.example" not in second.log
        assert first.stop() == 0
        assert page.deliver("late@y.example") == DOWN


def test_macros_need_no_setting(place: Path) -> None:
    policy = """
    function mod:validate_data(msg, ac, vctx)
      msg:header("X-Port", msg:listener_addr("port"))
      msg:header("X-User", vctx:get(msys.core.VCTX_CONN, "auth_user"))
    end
"""
    with attached(BASE, directory=place) as page:
        page.serve(policy)
        page.start(
            milter_connect_macros="j",
            milter_helo_macros="",
            milter_mail_macros="",
            smtpd_authorized_xclient_hosts="127.0.0.1",
            smtpd_sasl_auth_enable="yes",
            mynetworks="127.0.0.1 192.0.2.0/24",
        )
        with SmtpClient(page.port) as client:
            client.ask("XCLIENT ADDR=192.0.2.1 NAME=client.example LOGIN=ann")
            assert client.deliver("bob@y.example").startswith("250 ")
        message = page.site.to("bob@y.example")
    assert (message.values(b"X-User"), message.values(b"X-Port")) == ([b"ann"], [str(page.port).encode()])
