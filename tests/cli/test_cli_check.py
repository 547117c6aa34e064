"""`lumilter check`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lumilter.cli.check import unknown_names
from support.command import Lumilter
from support.mail_keys import rsa_key

Write = Callable[..., Path]


def test_a_clean_script_and_its_hooks_in_the_order_of_a_session(lumilter: Lumilter, script: Write) -> None:
    file = script(
        "function mod:validate_data(m) end\nfunction mod:validate_connect() end\nfunction mod:init() return true end"
    )
    ran = lumilter("check", "--strict", file)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == "module policy: validate_connect, validate_data, init\n1 modules, 0 warnings\n"


def test_warnings_only_fail_with_strict(lumilter: Lumilter, script: Write) -> None:
    file = script("function mod:validate_connect() end\nfunction mod:core_log_delivery_v1() end")
    ran = lumilter("check", file)
    assert ran.status == 0
    assert "warning: module policy: lumilter does not call core_log_delivery_v1: " in ran.out
    assert "1 modules, 1 warnings" in ran.out
    assert lumilter("check", "--strict", file).status == 1


def test_a_script_without_hooks(lumilter: Lumilter, script: Write) -> None:
    ran = lumilter("check", script("function mod:helper() end"))
    assert ran.status == 0
    assert "warning: scriptlet: no usable methods found for module policy" in ran.out
    assert "0 modules, 1 warnings" in ran.out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\nx = = 1", "policy.lua:2: "),
        ("\n\nerror('on purpose')", "policy.lua:3: on purpose"),
        ("\nassert(false)", "policy.lua:2: assertion failed!"),
        ("function mod:init() return false end", "init of module policy did not return true"),
        ("require('no.such')", "module 'no.such' not found"),
        ("while true do end", "instruction budget"),
        (
            "\nmsys.gcm.gcm_classify_error(1)",
            "policy.lua:2: msys.gcm.gcm_classify_error is not available in this version",
        ),
    ],
)
def test_a_script_that_does_not_load_is_78(lumilter: Lumilter, script: Write, text: str, says: str) -> None:
    ran = lumilter("check", script(text))
    assert ran.status == 78
    assert says in ran.err


def test_several_scripts_and_what_they_print(lumilter: Lumilter, script: Write) -> None:
    one = script("function mod:validate_ehlo() end print('loaded one')", "one")
    two = script("function mod:validate_ehlo() end", "two")
    ran = lumilter("check", one, two)
    assert ran.out.splitlines() == [
        "print: loaded one", "module one: validate_ehlo", "module two: validate_ehlo", "2 modules, 0 warnings"
    ]  # fmt: skip


UNKNOWN = """
function mod:validate_data(msg, ac, vctx)
  msys.core.nonsense()
  if x == msys.core.NO_CONSTANT then return end
  msys.gcm.gcm_classify_error(1)
  msg:headerr("Subject")
  sess:request_finalize(1)
  local s = ("x"):upper()
end
"""


def test_unknown_names_with_file_and_line(lumilter: Lumilter, script: Write) -> None:
    file = script(UNKNOWN)
    ran = lumilter("check", "--strict", file)
    assert ran.status == 1
    assert [line.removeprefix("warning: ") for line in ran.out.splitlines()[1:-1]] == [
        f"{file}:3: msys.core.nonsense is nothing that lumilter knows",
        f"{file}:4: msys.core.NO_CONSTANT is nothing that lumilter knows",
        f"{file}:5: msys.gcm.gcm_classify_error is not available in this version",
        f"{file}:6: :headerr() is no method that lumilter knows",
        f"{file}:7: :request_finalize() is not available in this version",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "msg:header('x') vctx:set_code(550, '') msys.log(msys.core.LOG_INFO, 'x')",
        "local m = msys.core m.foo()",
        "local own = {} function own:helper() end own:helper() own.other = function() end own:other()",
        "msys.mine = function() end msys.mine()",
        "function msys.core.mine() end msys.core.mine()",
        "local t = msys.getClassMetaTable('ec_message') function t:subject() end msg:subject()",
        "-- msys.nonsense() msg:nonsense()\nlocal s = 'msys.nonsense() msg:nonsense()'",
        "x.msys.nonsense()",
        "local json = require('dkjson') json.nonsense()",
        "function f(xml) return xml.nonsense() end",
        "require('json') for curl in pairs(t) do curl.nonsense() end",
        "local pcre = msys.pcre; require('msys.pcre')",
        "io.open('x'):read('*a'):gsub('a', 'b'):trimspace():split(',')",
    ],
)
def test_known_names(text: str) -> None:
    assert unknown_names({"policy.lua": text.encode()}) == []


def test_unknown_names_in_other_tables() -> None:
    text = (
        "xml.parse(x)\nprint(curl.OPT_FOO, curl.OPT_URL, json.ERROR_DEPTH, xml.parsexml) doc:xpath('x') c:setopt(1, 2)"
    )
    assert [line.split(": ", 1)[1] for line in unknown_names({"a.lua": text.encode()})] == [
        "xml.parse is nothing that lumilter knows",
        "curl.OPT_FOO is nothing that lumilter knows",
    ]


def test_warnings_are_in_the_order_of_lines() -> None:
    text = b"\n".join(b"x:no%d()" % n for n in range(12))
    assert [line.split(":")[1] for line in unknown_names({"a.lua": text})] == [str(n) for n in range(1, 13)]


def test_a_module_that_is_required_is_checked_too(lumilter: Lumilter, script: Write, tmp_path: Path) -> None:
    (tmp_path / "lib.lua").write_text("local lib = {}\nfunction lib.go() msys.core.nonsense() end\nreturn lib\n")
    ran = lumilter("check", script("require('lib') function mod:validate_ehlo() end"))
    assert f"{tmp_path}/lib.lua:2: msys.core.nonsense is nothing that lumilter knows" in ran.out


def test_with_a_configuration(lumilter: Lumilter, script: Write, tmp_path: Path) -> None:
    file = script("function mod:validate_ehlo() end")
    settings = tmp_path / "lumilter.toml"
    settings.write_text(f"[milter]\nsocket = 'unix:/run/x'\n[[script]]\nname = 'p'\nsource = '{file}'\n")
    ran = lumilter("check", "-c", settings)
    assert (ran.status, ran.out) == (0, "module policy: validate_ehlo\n1 modules, 0 warnings\n")


def test_functions_without_an_engine(lumilter: Lumilter, tmp_path: Path) -> None:
    (tmp_path / "policy.lua").write_text(
        "local mod = {}\nfunction mod:validate_data(msg, ac, vctx)\n  msys.brightmail.scan(msg, ac, vctx)\n"
        '  msys.av.scan()\n  msys.expurgate.scan()\nend\nmsys.registerModule("policy", mod)\n'
    )
    config = tmp_path / "lumilter.toml"
    scripts = '[[script]]\nname = "policy"\nsource = "policy.lua"\n'
    config.write_text(scripts)
    ran = lumilter("check", "-c", config)
    assert [line for line in ran.out.splitlines() if line.startswith("warning")] == [
        f"warning: {tmp_path}/policy.lua:3: msys.brightmail.scan has no engine: [engines] brightmail names none",
        f"warning: {tmp_path}/policy.lua:4: msys.av.scan has no engine: no [[scanner]] finds viruses",
        f"warning: {tmp_path}/policy.lua:5: msys.expurgate.scan has no engine: [engines] expurgate names none",
    ]
    engines = '[[scanner]]\nname = "c"\nkind = "clamd"\n[engines]\nbrightmail = "c"\nexpurgate = "c"\n'
    config.write_text(engines + scripts)
    assert "1 modules, 0 warnings" in lumilter("check", "-c", config).out
    assert "0 warnings" in lumilter("check", tmp_path / "policy.lua").out  # a script by itself has no configuration


def test_a_key_with_which_the_daemon_would_not_start(lumilter: Lumilter, script: Write, tmp_path: Path) -> None:
    source = script("function mod:validate_connect() end")
    config = tmp_path / "lumilter.toml"
    config.write_text(
        f'[milter]\nsocket = "unix:/x"\n[dkim]\nselector = "s"\nkey = "none.key"\n'
        f'[[script]]\nname = "p"\nsource = "{source}"\n'
    )
    ran = lumilter("check", "-c", config)
    assert ran.status == 0
    assert f"warning: the daemon would not start: {tmp_path}/none.key: No such file" in ran.out
    assert lumilter("check", "--strict", "-c", config).status == 1


def test_certificates_with_which_the_daemon_would_not_start(lumilter: Lumilter, script: Write, tmp_path: Path) -> None:
    source = script("function mod:validate_connect() end")
    config = tmp_path / "lumilter.toml"
    config.write_text(
        '[[scanner]]\nname = "r"\nkind = "rspamd"\ntls = true\nca_file = "none.pem"\n'
        f'[[script]]\nname = "p"\nsource = "{source}"\n'
    )
    ran = lumilter("check", "-c", config)
    assert f"warning: the daemon would not start: [[scanner]] r: ca_file {tmp_path}/none.pem can't be used" in ran.out


def test_active_filter(lumilter: Lumilter, script: Write, tmp_path: Path) -> None:
    source = script(
        'require("msys.cloudmark")\nfunction mod:validate_rcptto() msys.cloudmark.add_af_data("a@b", {}) end'
    )
    config = tmp_path / "lumilter.toml"
    scripts = f'[[script]]\nname = "p"\nsource = "{source}"\n'
    config.write_text(scripts)
    ran = lumilter("check", "-c", config)
    assert 'msys.cloudmark.add_af_data is an error unless [engines] active_filter = "none"' in ran.out
    config.write_text(scripts + '[engines]\nactive_filter = "none"\n')
    assert " 0 warnings" in lumilter("check", "-c", config).out


@pytest.mark.parametrize(
    ("tables", "warning"),
    [
        (
            '[redis]\nserver = "inet:1@127.0.0.1"\npassword_file = "none"',
            "the daemon would not start: [redis] password_file can't be read: [Errno 2] No such file or directory: "
            "'{0}/none'",
        ),
        ('[redis]\npassword_file = "none"', ""),
        ('[http]\nca_file = "none"', "[http] ca_file {0}/none can't be used: No such file or directory"),
        (
            '[redis]\nserver = "inet:1@127.0.0.1"\ntls = true\nca = "lumilter.toml"',
            "[redis] ca {0}/lumilter.toml can't be used: ",
        ),
        (
            '[dkim]\nselector = "s"\nkey = "none/%{d}/%{s}"',
            "[dkim] key: {0}/none is no directory that can be read: mail is only signed where it is",
        ),
        (
            '[dkim]\nselector = "s"\nkey = "keys/%{d}.%{s}"',
            "[dkim] key: {0}/keys/bad.example.s: no private key without a passphrase, in PEM form",
        ),
        ('[dkim]\nselector = "t"\nkey = "keys/%{d}.%{s}"', "[dkim] key: no domain has one: there is no file"),
        ('[dkim]\nselector = "good"\nkey = "keys/%{d}.%{s}"', ""),
        (
            '[dkim]\nselector = "good"\nkey = "keys/%{d}.%{s}"\n[[dkim_domain]]\ndomain = "other.example"',
            "[[dkim_domain]] other.example: {0}/keys/other.example.good: No such file or directory",
        ),
        (
            '[domainkeys]\nselector = "good"\n[[dk_domain]]\ndomain = "other.example"\nkey = "keys/%{d}.%{s}"',
            "[[dk_domain]] other.example: {0}/keys/other.example.good: No such file or directory",
        ),
    ],
)
def test_files_that_are_read_later(
    lumilter: Lumilter, script: Write, tmp_path: Path, tables: str, warning: str
) -> None:
    (tmp_path / "keys").mkdir()
    for name, text in (("bad.example.s", b"no key"), ("fine.example.good", rsa_key().pem)):
        (tmp_path / "keys" / name).write_bytes(text)
        (tmp_path / "keys" / name).chmod(0o600)
    source = script("function mod:validate_connect() end")
    (tmp_path / "lumilter.toml").write_text(f'{tables}\n[[script]]\nname = "p"\nsource = "{source}"\n')
    ran = lumilter("check", "-c", tmp_path / "lumilter.toml")
    found = [line.removeprefix("warning: ") for line in ran.out.splitlines() if line.startswith("warning: ")]
    assert len(found) == bool(warning), ran.out
    assert all(line.startswith(warning.format(tmp_path)) for line in found), found
