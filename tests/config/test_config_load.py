"""Configuration files: what is read, and what an error says."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.config import Config, SocketAddress, find_module, from_scripts, load
from lumilter.config.bind import Source, bind
from lumilter.config.declare import key
from lumilter.config.kinds import TEXT
from lumilter.errors import ConfigError


def write(tmp_path: Path, text: str | bytes) -> Path:
    file = tmp_path / "lumilter.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def error(tmp_path: Path, text: str | bytes) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text))
    return caught.value


def test_the_smallest_configuration(tmp_path: Path) -> None:
    (tmp_path / "policy.lua").touch()
    config = load(
        write(
            tmp_path,
            """
[milter]
socket = "inet:127.0.0.1:8890"
socket_mode = "0600"
workers = 1

[lua]
path = ["lua/?.lua", "/etc/lumilter/lua/?.lua"]
max_memory = "64M"
allow = ["ffi"]

[[script]]
name = "policy"
source = "policy.lua"
""",
        )
    )
    assert config.milter.socket == SocketAddress("inet", host="127.0.0.1", port=8890)
    assert config.milter.socket_mode == 0o600
    assert config.lua.path == (f"{tmp_path}/lua/?.lua", "/etc/lumilter/lua/?.lua")
    assert config.lua.max_memory == 64 << 20
    assert config.lua.allow == ("ffi",)
    (script,) = config.scripts
    assert (script.name, script.source, script.file) == ("policy", "policy.lua", f"{tmp_path}/policy.lua")
    assert script.declared_at == f"{config.file}:14"
    assert config.warnings == config.notes == ()


def test_an_empty_file_is_the_defaults_and_a_warning(tmp_path: Path) -> None:
    config = load(write(tmp_path, ""))
    assert config == Config(file=config.file)
    assert "no script" in config.warnings[0]


def test_a_script_by_module_name(tmp_path: Path) -> None:
    (tmp_path / "lua/mail").mkdir(parents=True)
    (tmp_path / "lua/mail/policy.lua").touch()
    text = '[lua]\npath = ["lua/?.lua"]\n[[script]]\nname = "a"\nsource = "mail.policy"\n'
    text += '[[script]]\nname = "b"\nsource = "mail/policy"\n'
    config = load(write(tmp_path, text))
    assert {script.file for script in config.scripts} == {f"{tmp_path}/lua/mail/policy.lua"}
    assert find_module("mail.policy", config.lua.path) == f"{tmp_path}/lua/mail/policy.lua"
    assert find_module("mail.other", config.lua.path) is None


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[milter]\n\nsokcet = 'x'", 3, 'unknown key "sokcet" in [milter]; did you mean "socket"?'),
        ("[milter]\nzzz = 1", 2, "known here: socket, socket_mode, socket_group, workers, wire, timeout"),
        ("[mitler]", 1, 'unknown key "mitler"; did you mean "milter"?'),
        ("[milter]\nsocket = 8890", 2, "[milter] socket: expected a string, got the number 8890"),
        ("[milter]\nsocket = 'tcp:1'", 2, '[milter] socket: expected "unix:/path"'),
        ("[milter]\nsocket_mode = 660", 2, "file mode"),
        ("[milter]\nsocket_mode = '0999'", 2, "file mode"),
        ("[milter]\nworkers = 0", 2, "a whole number, 1 or more, got the number 0"),
        ("[milter]\ntimeout = nan", 2, "a number of seconds, 1 or more"),
        ("[milter]\ntimeout = true", 2, "got the boolean true"),
        ("milter = 1", 1, "expected a table [milter], got the number 1"),
        ("[lua]\nmax_memory = '12Q'", 2, 'a size in bytes, or a string such as "512K"'),
        ("[lua]\nmax_memory = -1", 2, "a size in bytes"),
        ("[lua]\npath = [\n'a/?.lua',\n'b']", 2, 'a path with "?"'),
        ("[lua]\npath = 'a/?.lua'", 2, "expected a list"),
        ("[lua]\njit = 'no'", 2, "expected true or false"),
        ("[lua]\nallow = ['os.exit']", 2, '"ffi" or "io.popen" or "os.execute", got the string "os.exit"'),
        ("[policy]\non_error = 'discard'", 2, '"tempfail" or "accept" or "reject"'),
        ("[policy]\nagain_interval = 0", 2, "0.001 or more"),
        ("[dns]\nservers = ['ns.example.org']", 2, "the IP address of a name server"),
        ("[log]\ntarget = 'log.txt'", 2, '"stderr" or an absolute path'),
        ("[[context]]\nnetwork = '10.0.0.1/8'\nset = {}", 2, "has host bits set"),
        ("[[context]]\nset = { a = 1 }", 2, 'expected a string for "a", got the number 1'),
        ("[[context]]\nnetwork = '10.0.0.0/8'", 1, '[[context]] needs the key "set"'),
        ("[context]\na = 'b'", 1, "expected [[context]] tables, got a table"),
        ("[[script]]\nname = 'a'", 1, '[[script]] needs the key "source"'),
        (
            "[[script]]\nname = 'a'\nsource = 'nowhere'",
            3,
            '"nowhere" was not found; tried /etc/lumilter/lua/nowhere.lua',
        ),
        ("[[script]]\nname = 'a'\nsource = '/no/such.lua'", 3, '"/no/such.lua" was not found; tried /no/such.lua'),
        ("[momentum]\nconfig = '/no/ecelerity.conf'", 2, "[momentum] config: there is no file /no/ecelerity.conf"),
        (f"[momentum]\nconfig = '/{'x' * 300}'", 2, "[momentum] config: there is no file /xxx"),
        (f"[[script]]\nname = 'a'\nsource = '/{'x' * 300}'", 3, "was not found; tried /xxx"),
        (f"[[script]]\nname = 'a'\nsource = '{'x' * 300}'", 3, "was not found; tried /etc/lumilter/lua/xxx"),
        ("a = 'b'\n[milter", 2, "Expected ']'"),
        ("a = 1\na = 2", 2, "Cannot overwrite a value"),
        ('[milter]\nsocket = "x\n', 2, "Illegal character"),
        (b"# fine\n# \xff\n", 2, "expected UTF-8, got the byte 0xff"),
        ("\na = '''x\n", 2, "Expected"),
        ("a = " + "[" * 20000, 0, "nested too deeply"),
        (b"\0", 1, ""),
    ],
)
def test_an_error_has_its_line_and_what_was_expected(tmp_path: Path, text: str | bytes, line: int, says: str) -> None:
    raised = error(tmp_path, text)
    assert says in raised.message
    assert raised.line == line
    assert raised.file == str(tmp_path / "lumilter.toml")


def test_two_scripts_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.lua").touch()
    raised = error(tmp_path, "[[script]]\nname = 'a'\nsource = 'a.lua'\n" * 2)
    assert 'there are two scripts "a"' in raised.message
    assert raised.message.endswith("lumilter.toml:3")
    assert raised.line == 6


@pytest.mark.parametrize("name", ["missing.toml", ".", "nul\0byte"])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load(f"{tmp_path}/{name}")


def test_contexts_by_network(tmp_path: Path) -> None:
    config = load(
        write(
            tmp_path,
            """
[[context]]
network = "10.1.0.0/16"
set = { trusted_mx = "yes", site = "b" }
[[context]]
set = { trusted_mx = "no", site = "-", everyone = "1" }
[[context]]
network = "10.0.0.0/8"
set = { trusted_mx = "maybe", big = "1" }
[[context]]
network = "2001:db8::/32"
set = { six = "1" }
""",
        )
    )
    assert config.contexts[0].network == ipaddress.ip_network("10.1.0.0/16")
    everyone = {"trusted_mx": "no", "site": "-", "everyone": "1"}
    inner = {"trusted_mx": "yes", "site": "b", "everyone": "1", "big": "1"}
    assert config.connection_context("10.1.2.3") == inner
    assert config.connection_context("::ffff:10.1.2.3") == inner
    assert config.connection_context("10.2.2.3") == {**everyone, "trusted_mx": "maybe", "big": "1"}
    assert config.connection_context("2001:db8::1") == {**everyone, "six": "1"}
    for client in ("192.0.2.1", "::1", "", "/var/run/socket", "fe80::1%eth0"):
        assert config.connection_context(client) == everyone


def test_scripts_from_a_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "policy.lua").touch()
    monkeypatch.chdir(tmp_path)
    config = from_scripts(["policy.lua"])
    assert [(script.name, script.file) for script in config.scripts] == [("policy", f"{tmp_path}/policy.lua")]
    assert config.lua.path[0] == f"{tmp_path}/?.lua"
    with pytest.raises(ConfigError, match="no such script"):
        from_scripts(["other.lua"])
    with pytest.raises(ConfigError, match="there is no such script"):
        from_scripts(["x" * 300])


def test_a_secret_is_not_shown() -> None:
    @dataclass(frozen=True, slots=True)
    class Database:
        url: str = key(TEXT, "Where it is.", "")
        password: str = key(TEXT, "Its password.", "", secret=True)

    bound = bind(Database, {"url": "db:", "password": "hunter2"}, Source("f.toml", {}))
    assert bound.password == "hunter2"
    assert "hunter2" not in repr(bound)
    assert "db:" in repr(bound)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["milter", "lua", "policy", "dns", "pcre", "log", "momentum", "context", "script", "other"])
KEYS = st.sampled_from(
    ["socket", "path", "max_memory", "allow", "servers", "timeout", "set", "network", "name", "source"]
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(NAMES, VALUES | st.dictionaries(KEYS, VALUES) | st.lists(st.dictionaries(KEYS, VALUES))))
def test_any_value_is_bound_or_refused(data: dict[str, object]) -> None:
    try:
        bind(Config, data, Source("f.toml", {}))
    except ConfigError as raised:
        assert raised.message


@settings(max_examples=100, deadline=None)
@given(st.binary() | st.text(alphabet="[]{}=.\"'\n#abn1, \\").map(str.encode))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(raw)
    try:
        load(file)
    except ConfigError as raised:
        assert raised.file == str(file)
