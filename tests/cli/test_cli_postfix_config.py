"""`lumilter postfix-config`: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lumilter.cli import main

SCRIPT = '[[script]]\nname = "policy"\nsource = "policy.lua"\n'
INJECT = '[inject]\nserver = "smtp:inet:10026@127.0.0.1"\n'


@pytest.fixture
def ran(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Run it on a configuration: exit status, output, errors."""

    def run(text: str, *options: str) -> tuple[int, str, str]:
        (tmp_path / "policy.lua").touch()
        (tmp_path / "lumilter.toml").write_text(text + SCRIPT)
        status = main(["postfix-config", "-c", str(tmp_path / "lumilter.toml"), *options])
        out = capsys.readouterr()
        return status, out.out, out.err

    return run


def test_bindings_and_routes(ran) -> None:
    status, out, err = ran(
        '[routing]\nenabled = true\npriority = "fast"\n' + INJECT
        + '[[binding]]\nname = "MTA1"\naddress = "127.0.0.2"\nhelo = "mta1.example.com"\n'
        + '[[binding]]\nname = "six"\naddress = "2001:db8::1"\ntransport = "own"\n'
        + '[[route]]\ndomain = "sms.example.com"\nnexthop = "[192.0.2.30]:2525"\ntransport = "lmtp"\n'
    )  # fmt: skip
    assert status == 0
    assert "warning: 2001:db8::1 of binding six is not on this machine" in err
    assert "127.0.0.2" not in err
    for line in (
        "milter_header_checks = regexp:/etc/postfix/lumilter/route", "default_filter_nexthop =",
        "binding-mta1 unix - - n - - smtp",
        "  -o smtp_bind_address=127.0.0.2", "  -o smtp_helo_name=mta1.example.com", "own unix - - n - - smtp",
        "  -o smtp_bind_address6=2001:db8::1", "fast unix - - n - - smtp", "127.0.0.1:10026 inet n - n - - smtpd",
        "  -o smtpd_milters=", "/^X-Lumilter-Route: (binding-mta1|fast|lmtp|own|smtp):([^ ]*)$/ FILTER $1:$2",
        "/^X-Lumilter-Route:/ STRIP not a transport of lumilter's", "  -o smtp_bind_address_enforce=yes",
        "/^X-Lumilter-Route:/ IGNORE",
    ):  # fmt: skip
        assert line in out.splitlines(), line


def test_without_bindings_there_is_the_listener(ran) -> None:
    _, out, _ = ran(INJECT)
    assert "milter_header_checks" not in out
    assert "  -o header_checks=\n" in out
    _, out, _ = ran("")
    assert "[inject] server is not set" in out


@pytest.mark.parametrize(
    "server", ["lmtp:unix:/run/x", "lmtp:inet:24@127.0.0.1", "smtp:inet:25@192.0.2.1", "smtp:unix:/x"]
)
def test_a_server_that_is_not_of_this_postfix_gets_no_listener(ran, server: str) -> None:
    """A port that others reach would give anybody what lumilter may do."""
    status, out, _ = ran(f'[inject]\nserver = "{server}"\n')
    assert status == 0
    assert f"# {server} is not a listener of this Postfix" in out
    assert "lumilter-cleanup" not in out


@pytest.mark.parametrize(
    ("server", "service"),
    [
        ("smtp:inet:10026@127.0.0.1", "127.0.0.1:10026 inet n - n - - smtpd"),
        ("inet6:10026@::1", "[::1]:10026 inet n - n - - smtpd"),
        ("smtp:inet:10026@localhost", "localhost:10026 inet n - n - - smtpd"),
    ],
)
def test_the_listener_is_where_lumilter_sends(ran, server: str, service: str) -> None:
    _, out, _ = ran(f'[inject]\nserver = "{server}"\n')
    assert service in out.splitlines()


def test_a_transport_of_the_site_s_own_is_named(ran) -> None:
    _, out, _ = ran(
        '[routing]\nenabled = true\npriority = "relay"\n'
        '[[route]]\ndomain = "a.example"\nnexthop = ""\ntransport = "fax"\n'
        '[[route]]\ndomain = "b.example"\nnexthop = ""\ntransport = "lmtp"\n'
    )
    assert [line for line in out.splitlines() if line.startswith("# The transport ")] == [
        "# The transport fax is one of yours: it has to be in this file."
    ]
    assert "relay unix" not in out


def test_bindings_while_routing_is_off_are_warned_of(ran) -> None:
    assert "[routing] enabled is false" in ran('[[binding]]\nname = "a"\n')[2]
    assert ran('[routing]\nenabled = true\n[[binding]]\nname = "a"\n')[2] == ""


def test_postfix_reads_it(ran, tmp_path: Path) -> None:
    """No parameter is unknown to this Postfix, and no comment ends a service's options."""
    ran('[routing]\nenabled = true\n[[binding]]\nname = "a"\naddress = "127.0.0.2"\nhelo = "a.b"\n' + INJECT,
        "--write", str(tmp_path))  # fmt: skip
    main, master = (tmp_path / f"{name}.cf.add" for name in ("main", "master"))
    main.rename(tmp_path / "main.cf")
    options = master.read_text().count("  -o ")
    master.rename(tmp_path / "master.cf")
    for flags in ("-n", "-P"):
        read = subprocess.run(["/usr/sbin/postconf", "-c", tmp_path, flags], check=True, capture_output=True, text=True)
        assert read.stderr == ""
    assert len(read.stdout.splitlines()) == options


def test_written_to_files(ran, tmp_path: Path) -> None:
    status, out, _ = ran("[routing]\nenabled = true\n" + INJECT, "--write", str(tmp_path / "out"), "--tables", "/x")
    assert (status, out) == (0, "")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"main.cf.add", "master.cf.add", "route", "strip"}
    assert "regexp:/x/route" in (tmp_path / "out/main.cf.add").read_text()
    (tmp_path / "file").touch()
    status, _, err = ran(INJECT, "--write", str(tmp_path / "file"))
    assert status == 78
    assert "cannot write" in err


@pytest.mark.parametrize("tables", ["/a b", "/a,b", "/a$b", "/{a}", "/a\nb"])
def test_a_path_that_can_not_stand_in_main_cf(ran, tables: str) -> None:
    status, _, err = ran(INJECT, "--tables", tables)
    assert status == 78
    assert "can't stand in main.cf" in err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[[binding]]\nname = "a"\n[[binding]]\nname = "a"\n', 'name = "a"'),
        ('[[binding]]\nname = "default"\n', "default"),
        ('[[binding]]\nname = "a"\n[[binding]]\nname = "A"\n', 'the transport "binding-a" of binding "A" is taken'),
        ('[[binding]]\nname = "a"\ntransport = "relay"\n', 'Postfix\'s own service "relay"'),
        ('[[binding]]\nname = "a"\ntransport = "smtp"\n', "is taken"),
        ('[[binding]]\nname = "a"\ntransport = "qmgr"\n', '"qmgr" is no transport'),
        ('[[binding]]\nname = "a"\ntransport = "lumilter-cleanup"\n', '"lumilter-cleanup" is no transport'),
        ('[routing]\npriority = "bounce"\n', '"bounce" is no transport'),
        ('[[route]]\ndomain = "x.example"\nnexthop = ""\ntransport = "pickup"\n', '"pickup" is no transport'),
        ('[[route]]\ndomain = "x.example"\nnexthop = "a"\n[[route]]\ndomain = "X.example"\nnexthop = "b"\n', "twice"),
        ('[[binding]]\nname = "a b"\n', "letters, digits"),
        ('[[binding]]\nname = "a"\naddress = "nowhere"\n', "IPv4 or IPv6 address"),
        ('[[route]]\ndomain = "x"\nnexthop = "a b"\n', "next hop"),
        ('[inject]\nserver = "smtp:nowhere"\n', "expected"),
    ],
)
def test_what_postfix_can_not_have(ran, text: str, problem: str) -> None:
    status, _, err = ran(text)
    assert status == 78
    assert problem in err
