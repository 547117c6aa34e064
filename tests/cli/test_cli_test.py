"""`lumilter test`: one session offline, its verdict, its exit status, and the JSON object that other tools parse."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.command import Lumilter

Write = Callable[..., Path]

DATA = "function mod:validate_data(msg, ac, vctx) {} end"


@pytest.mark.parametrize(
    ("code", "verdict", "reply", "status"),
    [
        ("", "accept", None, 0),
        ("vctx:set_code(450, '4.7.1 later')", "tempfail", {"code": 450, "text": "450 4.7.1 later"}, 75),
        ("vctx:set_code(550, 'no\\nnever')", "reject", {"code": 550, "text": "550 no\n550 never"}, 77),
        ("msg:discard()", "discard", None, 99),
        ("msg:quarantine('look')", "accept", None, 0),
        ("error('oops')", "tempfail", {"code": 451, "text": "451 4.3.0 local policy error"}, 70),
        ("while true do end", "tempfail", {"code": 451, "text": "451 4.3.0 local policy error"}, 70),
        (
            "vctx.disconnect = 1",
            "tempfail",
            {"code": 421, "text": "421 4.7.1 Service unavailable, try again later"},
            75,
        ),
    ],
)
def test_verdicts(
    lumilter: Lumilter, script: Write, message: Path, code: str, verdict: str, reply: object, status: int
) -> None:
    ran = lumilter("test", "--json", "-s", script(DATA.format(code)), message)
    assert (ran.status, ran.json["verdict"], ran.json["reply"], ran.err) == (status, verdict, reply, "")
    assert len(ran.json["messages"]) == (verdict == "accept")


EVERYTHING = """
function mod:validate_connect(ac, vctx)
  print("connected", tostring(ac.remote_addr))
  vctx:set(msys.core.VCTX_CONN, "mine", "caf\\233")
end
function mod:validate_data(msg, ac, vctx)
  msg:header("X-First", "1", "prepend")
  msg:header("X-Last", "2", "append")
  msg:header("Subject", "New")
  msg:header("X-Gone", "")
  vctx:set(msys.core.VCTX_MESS, "mine", "m")
  vctx:add_recipient("archive@example.com")
  vctx:remove_recipient("carol@example.com")
  return msys.core.VALIDATE_DONE
end
function mod:validate_data_spool_each_rcpt(msg)
  msg:mailfrom("bounces@example.org")
  msg:quarantine("look at it")
end
"""
MESSAGE = b"X-Gone: x\nSubject: Old\nFrom: ann@example.org\n\nHello.\n"


def test_the_json_object(lumilter: Lumilter, script: Write, tmp_path: Path) -> None:
    (tmp_path / "m.eml").write_bytes(MESSAGE)
    ran = lumilter(
        "test", "--json", "-s", script(EVERYTHING), "-f", "ann@example.org", "-r", "bob@example.com",
        "-r", "carol@example.com", tmp_path / "m.eml",
    )  # fmt: skip
    found = ran.json
    assert ran.status == 0
    assert list(found) == ["verdict", "reply", "phases", "actions", "messages", "context", "log", "errors"]
    assert all(isinstance(phase.pop("ms"), float) for phase in found["phases"])
    each = {"phase": "data_spool_each_rcpt", "module": "policy", "hook": "validate_data_spool_each_rcpt"}
    assert found["phases"] == [
        {"phase": "connect", "module": "policy", "hook": "validate_connect", "result": "cont"},
        {"phase": "data", "module": "policy", "hook": "validate_data", "result": "done"},
        each | {"result": "cont", "recipient": "bob@example.com"},
        each | {"result": "cont", "recipient": "archive@example.com"},
    ]
    assert all(list(each) == ["action", "index", "name", "value"] for each in found["actions"])
    (held,) = found["messages"]
    assert list(held) == ["recipients", "sender", "route", "raw", "how"]
    assert (held["recipients"], held["sender"], held["route"]) == (
        ["bob@example.com", "archive@example.com"], "bounces@example.org", None,
    )  # fmt: skip
    assert held["raw"] == "X-First: 1\r\nFrom: ann@example.org\r\nX-Last: 2\r\nSubject: New\r\n\r\nHello.\r\n"
    assert list(found["context"]) == ["conn", "mess"]
    assert found["context"]["conn"]["mine"] == "caf\udce9"
    assert found["context"]["mess"]["mine"] == "m"
    assert found["log"] == ["connected\t192.0.2.1:40000"]
    assert found["errors"] == []


def test_the_actions(lumilter: Lumilter, script: Write, tmp_path: Path) -> None:
    (tmp_path / "m.eml").write_bytes(MESSAGE)
    ran = lumilter(
        "test", "--json", "-s", script(EVERYTHING), "-f", "a@b", "-r", "bob@example.com", "-r", "carol@example.com",
        tmp_path / "m.eml",
    )  # fmt: skip
    assert [tuple(each.values()) for each in ran.json["actions"]] == [
        ("delete_header", 1, "X-Gone", None),
        ("delete_header", 1, "Subject", None),
        ("insert_header", 0, "X-First", "1"),
        ("add_header", None, "X-Last", "2"),
        ("add_header", None, "Subject", "New"),
        ("change_sender", None, None, "bounces@example.org"),
        ("add_recipient", None, None, "archive@example.com"),
        ("delete_recipient", None, None, "carol@example.com"),
        ("quarantine", None, None, "look at it"),
    ]


@pytest.mark.parametrize("end", ["vctx:set_code(550, 'no')", "msg:discard()", "error('x')", ""])
def test_the_context_is_there_whatever_becomes_of_the_message(
    lumilter: Lumilter, script: Write, message: Path, end: str
) -> None:
    ran = lumilter("test", "--json", "-s", script(DATA.format(f"vctx:set(1, 'why', 'spam') {end}")), message)
    assert ran.json["context"]["mess"]["why"] == "spam"


def test_errors_say_script_and_line(lumilter: Lumilter, script: Write, message: Path) -> None:
    ran = lumilter("test", "--json", "-s", script("\nfunction mod:validate_ehlo()\n  error('caf\\233')\nend"), message)
    assert ran.status == 70
    assert ran.json["errors"] == [{"script": "policy.lua", "line": 3, "message": "caf\udce9"}]
    assert [phase["result"] for phase in ran.json["phases"]] == ["error"]


def test_a_script_that_does_not_load_is_70(lumilter: Lumilter, script: Write, message: Path) -> None:
    ran = lumilter("test", "-s", script("\n\nx = = 1"), message)
    assert (ran.status, ran.out) == (70, "")
    assert "policy.lua:3: " in ran.err


SHOW = """
function mod:validate_rcptto_list(list, vctx)
  print(vctx:get(msys.core.VCTX_MESS, "mailfrom_string"), list.object, list.next and list.next.object)
end
function mod:validate_data(msg, ac, vctx)
  print(vctx:get(msys.core.VCTX_CONN, "auth_user"), vctx:get(msys.core.VCTX_CONN, "tls_version"), msg:listener_addr())
  print(ac.remote_addr, vctx:get(msys.core.VCTX_CONN, "ehlo_string"), msys.expandMacro("%{p}"))
end
"""


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        (("-f", "", "-r", "bob@example.com"), "\tbob@example.com\tnil"),
        (("-f", "a@b"), "a@b\tpostmaster@localhost\tnil"),
        (("-f", "<a@b>", "-r", "<bob@example.com>", "-r", "c@d"), "a@b\tbob@example.com\tc@d"),
    ],
)
def test_the_envelope(lumilter: Lumilter, script: Write, message: Path, options: tuple[str, ...], printed: str) -> None:
    ran = lumilter("test", "--json", "-s", script(SHOW), *options, message)
    assert ran.json["log"][0] == printed
    assert not any(
        "<" in address for address in [*ran.json["messages"][0]["recipients"], ran.json["messages"][0]["sender"]]
    )


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        ((), ["\t\t127.0.0.1:25", "192.0.2.1:40000\tclient.example\tunknown"]),
        (
            ("--auth", "ann", "--macro", "tls_version=TLSv1.3", "--macro", "{daemon_port}=587"),
            ["ann\tTLSv1.3\t127.0.0.1:587", "192.0.2.1:40000\tclient.example\tunknown"],
        ),
        (
            ("-i", "2001:db8::1", "--helo", "h", "--client-name", "c.example"),
            ["\t\t127.0.0.1:25", "2001:db8::1.40000\th\tc.example"],
        ),
    ],
)
def test_the_client(
    lumilter: Lumilter, script: Write, message: Path, options: tuple[str, ...], printed: list[str]
) -> None:
    assert lumilter("test", "--json", "-s", script(SHOW), *options, message).json["log"][1:] == printed


def test_a_macro_without_a_value(lumilter: Lumilter, script: Write, message: Path) -> None:
    ran = lumilter("test", "-s", script(SHOW), "--macro", "nothing", message)
    assert (ran.status, ran.err) == (78, 'lumilter: --macro wants NAME=VALUE, got "nothing"\n')


HOOKS = (
    "validate_connect",
    "validate_ehlo",
    "validate_mailfrom",
    "validate_rcptto",
    "validate_rcptto_list",
    "validate_data",
)


@pytest.mark.parametrize(
    ("phase", "ran_hooks"),
    [("connect", 1), ("helo", 2), ("mail", 3), ("rcpt", 4), ("data", 5), ("message", 6)],
)
def test_quit_after(lumilter: Lumilter, script: Write, message: Path, phase: str, ran_hooks: int) -> None:
    text = "".join(f"function mod:{hook}() end\n" for hook in HOOKS) + "function mod:validate_dealloc() end"
    ran = lumilter("test", "--json", "-s", script(text), "--quit-after", phase, message)
    assert ran.status == 0
    assert [p["hook"] for p in ran.json["phases"]] == [*HOOKS[:ran_hooks], "validate_dealloc"]
    assert len(ran.json["messages"]) == (phase == "message")


def test_a_refusal_ends_the_session(lumilter: Lumilter, script: Write, message: Path) -> None:
    text = "function mod:validate_mailfrom(s, ac, vctx) vctx:set_code(550, 'no') end\nfunction mod:validate_data() end"
    ran = lumilter("test", "--json", "-s", script(text), message)
    assert (ran.status, [p["hook"] for p in ran.json["phases"]]) == (77, ["validate_mailfrom"])


RCPT = """
function mod:validate_rcptto(msg, str, ac, vctx)
  if tostring(str):find('^no') then vctx:set_code(550, 'no') end
end
"""


@pytest.mark.parametrize(
    ("recipients", "status", "delivered"),
    [
        (("no@x", "yes@x"), 0, ["yes@x"]),
        (("yes@x", "no@x"), 0, ["yes@x"]),
        (("no@x", "no2@x"), 77, None),
    ],
)
def test_refused_recipients(
    lumilter: Lumilter, script: Write, message: Path, recipients: tuple[str, ...], status: int, delivered: object
) -> None:
    options = [word for recipient in recipients for word in ("-r", recipient)]
    ran = lumilter("test", "--json", "-s", script(RCPT), *options, message)
    assert ran.status == status
    assert [m["recipients"] for m in ran.json["messages"]] == ([delivered] if delivered else [])


def test_dns_from_fixtures(lumilter: Lumilter, script: Write, message: Path, tmp_path: Path) -> None:
    file = script("function mod:validate_connect() print(unpack(msys.dnsLookup('example.com', 'A') or {'none'})) end")
    fixtures = tmp_path / "dns.json"
    fixtures.write_text('{"example.com": {"A": ["192.0.2.7"]}}')
    assert lumilter("test", "--json", "-s", file, "--fixtures", fixtures, message).json["log"] == ["192.0.2.7"]
    assert lumilter("test", "--json", "-s", file, message).json["log"] == ["none"]
    fixtures.write_text("no JSON")
    ran = lumilter("test", "--json", "-s", file, "--fixtures", fixtures, message)
    assert ran.status == 78
    assert str(fixtures) in ran.err
    assert lumilter("test", "-s", file, "--fixtures", fixtures, "--live", message).status == 2


def test_text_with_trace_and_diff(lumilter: Lumilter, script: Write, message: Path) -> None:
    file = script("function mod:validate_data(msg) msg:header('X-New', 'caf\\233', 'append') print('a\\nb\\27[1m') end")
    out = lumilter(
        "test", "-s", file, "-f", "ann@example.org", "-r", "bob@example.com", "--trace", "--diff", message
    ).out
    lines = out.splitlines()
    assert lines[:4] == [
        "CONNECT: accept",
        "HELO: accept",
        "MAIL <ann@example.org>: accept",
        "RCPT <bob@example.com>: accept",
    ]
    assert "  print: a\\nb\\x1b[1m" in lines
    assert any(line.startswith("  validate_data (policy): cont, ") for line in lines)
    assert "verdict: accept" in lines
    assert "+X-New: =?unknown-8bit?Q?caf=E9?=" in lines
    assert lines[-1] == "to: bob@example.com"
    plain = lumilter("test", "-s", file, message).out
    assert "validate_data (policy)" not in plain
    assert "+X-New" not in plain


def test_text_of_a_refusal_and_of_an_error(lumilter: Lumilter, script: Write, message: Path) -> None:
    out = lumilter("test", "-s", script(DATA.format("vctx:set_code(550, '5.7.1 no')")), message).out
    assert "ENDOFMESSAGE: 550 5.7.1 no\n" in out
    assert out.endswith("verdict: reject (550 5.7.1 no)\n")
    out = lumilter("test", "-s", script(DATA.format("error('x')")), message).out
    assert "  error: policy.lua:1: x\n" in out


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"A: 1\r\n\r\nbody\r\n", "A: 1\r\n\r\nbody\r\n"),
        (b"A: 1\n\nbody\n", "A: 1\r\n\r\nbody\r\n"),
        (b"From ann Mon Jan  1\nA: 1\n\nbody\n", "A: 1\r\n\r\nbody\r\n"),
        (b"A: 1\n folded\n\tmore\nB: 2\n\nbody", "A: 1\r\n folded\r\n\tmore\r\nB: 2\r\n\r\nbody"),
        (b"A: 1\nno header\n\nbody\n", "A: 1\r\n\r\nno header\r\n\r\nbody\r\n"),
        (b"no header at all\n", "\r\nno header at all\r\n"),
        (b"\nbody\n", "\r\nbody\r\n"),
        (b" leading space\n", "\r\n leading space\r\n"),
        (b"A: 1", "A: 1\r\n\r\n"),
        (b"A:\n", "A:\r\n\r\n"),
        (b"A : 1\n\n", "A: 1\r\n\r\n"),
        (b"", "\r\n"),
        (b"A: caf\xe9\0\n\n\xff\0\n", "A: caf\udce9\0\r\n\r\n\udcff\0\r\n"),
        (b"A: 1\n\n.\n..\n", "A: 1\r\n\r\n.\r\n..\r\n"),
        (b"A: " + b"x" * 5000 + b"\n\n", "A: " + "x" * 5000 + "\r\n\r\n"),
    ],
)
def test_any_bytes_are_a_message_and_come_out_as_they_were(
    lumilter: Lumilter, script: Write, tmp_path: Path, raw: bytes, expected: str
) -> None:
    (tmp_path / "m.eml").write_bytes(raw)
    ran = lumilter("test", "--json", "-s", script("function mod:validate_data() end"), tmp_path / "m.eml")
    assert (ran.status, ran.json["messages"][0]["raw"], ran.json["actions"]) == (0, expected, [])


def test_a_message_from_standard_input(lumilter: Lumilter, script: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"A: caf\xe9\n\n\xff\n")))
    ran = lumilter("test", "--json", "-s", script("function mod:validate_data() end"), "-")
    assert ran.json["messages"][0]["raw"] == "A: caf\udce9\r\n\r\n\udcff\r\n"


def test_a_message_that_is_not_there(lumilter: Lumilter, script: Write, tmp_path: Path) -> None:
    ran = lumilter("test", "-s", script("function mod:validate_data() end"), tmp_path / "none.eml")
    assert (ran.status, ran.err) == (
        78,
        f"lumilter: {tmp_path}/none.eml: cannot read the message: No such file or directory\n",
    )


def test_scripts_run_in_the_order_given_after_the_configurations(
    lumilter: Lumilter, script: Write, message: Path, tmp_path: Path
) -> None:
    one, two, three = (script(f"function mod:validate_data() print('{n}') end", n) for n in ("one", "two", "three"))
    settings = tmp_path / "lumilter.toml"
    settings.write_text(f"[milter]\nsocket = 'unix:/run/x'\n[[script]]\nname = 'p'\nsource = '{three}'\n")
    assert lumilter("test", "--json", "-c", settings, "-s", two, "-s", one, message).json["log"] == [
        "three",
        "two",
        "one",
    ]
    assert lumilter("test", "--json", "-c", settings, message).json["log"] == ["three"]


def test_http_requests_are_refused_offline(lumilter: Lumilter, script: Write, message: Path) -> None:
    code = 'print(msys.http.client.new():do_request("GET", "http://127.0.0.1:9/"))'
    ran = lumilter("test", "--json", "-s", script(DATA.format(code)), message)
    assert ran.json["log"] == ["nil\tno HTTP requests are made here; lumilter test makes them with --live"]
    ran = lumilter("test", "--json", "--live", "-s", script(DATA.format(code)), message)
    assert "refused" in ran.json["log"][0]
