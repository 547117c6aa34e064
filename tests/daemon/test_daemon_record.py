"""daemon.record: what is saved is read back exactly, is bounded, and never hurts a session."""

from __future__ import annotations

import ipaddress
import json
import logging
import resource
import signal
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lumilter.daemon import record, session_file
from lumilter.daemon.record import Recorder, read
from lumilter.errors import ConfigError
from lumilter.session.events import (
    CONTINUE,
    Abort,
    Action,
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    Close,
    Connect,
    Data,
    DeleteRecipient,
    EndOfMessage,
    Event,
    Helo,
    InsertHeader,
    Mail,
    Outcome,
    Quarantine,
    Rcpt,
    ReplaceBody,
    Reply,
)
from lumilter.session.session import Session
from support.drive import CONNECT, Drive
from support.policy import policy
from support.shadowed import shadowed
from support.watched import MESSAGE

EVERYBODY = ("0.0.0.0/0", "::/0")
SESSION: tuple[Event, ...] = (*MESSAGE, Close())


def recorder(directory: Path, *networks: str, generation: int = 0) -> Recorder:
    made = Recorder(str(directory), generation=generation)
    made.watch(networks or EVERYBODY)
    return made


def saved(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def play(recording: Recorder, events: Sequence[Event] = SESSION, drive: Drive | None = None) -> list[Outcome]:
    drive = drive or Drive()
    outcomes = []
    for event in events:
        outcomes.append(drive.handle(event))
        recording.observe(drive.session, event, outcomes[-1])
    return outcomes


# --- round trips ------------------------------------------------------------------------------------------------------

RAW = st.binary(max_size=30)
TEXT = RAW.map(lambda raw: raw.decode("utf-8", "surrogateescape")) | st.text(max_size=30)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
MACROS = st.dictionaries(TEXT, TEXT, max_size=3)
NUMBER = st.integers(0, 65535)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Connect, TEXT, TEXT, TEXT, NUMBER, MACROS),
    st.builds(Helo, TEXT, MACROS),
    st.builds(Mail, TEXT, TEXTS, MACROS),
    st.builds(Rcpt, TEXT, TEXTS, MACROS),
    st.builds(Data, MACROS),
    st.builds(EndOfMessage, st.lists(st.tuples(RAW, RAW), max_size=3).map(tuple), RAW, MACROS),
    st.just(Abort()),
    st.just(Close()),
)
EDITS = st.one_of(
    st.builds(AddHeader, RAW, RAW),
    st.builds(InsertHeader, NUMBER, RAW, RAW),
    st.builds(ChangeHeader, NUMBER, RAW, RAW),
    st.builds(ReplaceBody, RAW),
    st.builds(AddRecipient, TEXT),
    st.builds(DeleteRecipient, TEXT),
    st.builds(ChangeSender, TEXT),
    st.builds(Quarantine, TEXT),
)
OUTCOMES = st.builds(
    Outcome,
    st.sampled_from(Action),
    st.none() | st.builds(Reply, st.integers(400, 599), TEXT, TEXTS),
    st.lists(EDITS, max_size=3).map(tuple),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(EVENTS, OUTCOMES), max_size=5))
@example([(EndOfMessage(((b"\0\r\n", bytes(range(256))),), bytes(range(256))), CONTINUE)])
@example([(Helo("caf\udce9\u2028\0", {"i": '"\\'}), CONTINUE)])
def test_what_is_read_is_what_was_written(tmp_path: Path, steps: list[tuple[Event, Outcome]]) -> None:
    file = tmp_path / "one"
    lines = [session_file.header_line({"generation": 1}), *(session_file.step_line(*step) for step in steps)]
    file.write_bytes(b"".join(lines))
    assert read(file).steps == steps
    assert file.read_bytes().count(b"\n") == len(steps) + 1
    file.write_bytes(b"".join(lines)[:-1])  # as a crash leaves it
    assert read(file).steps == steps[:-1] or not steps


def test_a_body_in_a_file(tmp_path: Path) -> None:
    body = bytes(range(256))
    file = tmp_path / "one"
    line = session_file.step_line(EndOfMessage((), memoryview(body)), CONTINUE)
    file.write_bytes(session_file.header_line({}) + line)
    assert read(file).steps == [(EndOfMessage((), body), CONTINUE)]


KEYS = st.sampled_from(["event", "outcome", "cut"])


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["event", "outcome", "cut"]), inner)
        ),
        max_leaves=6,
    )
    | st.fixed_dictionaries({"event": st.sampled_from(["Helo", "Rcpt", "EndOfMessage", "Action"]), "outcome": TEXT})
)
def test_what_is_no_session_is_an_error_with_file_and_line(tmp_path: Path, thing: object) -> None:
    file = tmp_path / "one"
    line = json.dumps(thing).encode() + b"\n"
    file.write_bytes(session_file.header_line({}) + line)
    if isinstance(thing, dict) and "cut" in thing:
        assert read(file).cut == str(thing["cut"])
        return
    with pytest.raises(ConfigError, match="is no line of a saved session") as caught:
        read(file)
    assert (caught.value.file, caught.value.line) == (str(file), 2)


@pytest.mark.parametrize("raw", [b"", b"\n", b"From: ann\n", b"[1]\n", b'{"format": 2}\n', b"[" * 100_000, b"\xff\n"])
def test_what_never_was_one(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "one").write_bytes(raw)
    with pytest.raises(ConfigError, match="one"):
        read(tmp_path / "one")
    with pytest.raises(ConfigError, match="can't be read"):
        read(tmp_path)


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_of_a_policy(tmp_path: Path) -> None:
    directory = tmp_path / "state" / "sessions"
    recording = recorder(directory, "192.0.2.0/24", generation=7)
    text = """
      function mod:validate_rcptto(msg, str, ac, vctx) if msg:rcptto():find("^no") then vctx:set_code(550, "no") end end
      function mod:validate_data(msg) msg:header("X-A", "caf\\233") end"""
    with policy(tmp_path, text) as running:
        object.__setattr__(running.engine.setup, "observe", recording.observe)
        conversation = running.engine.open()
        events = [*MESSAGE[:4], Rcpt("<no\udce9@example.com>"), *MESSAGE[4:], Abort(), Close()]
        outcomes = [conversation.handle(event) for event in events]
    (file,) = saved(directory)
    found = read(file)
    assert found.steps == list(zip(events, outcomes, strict=True))
    assert len(outcomes[6].edits) == 1
    assert found.header.keys() == {"format", "lumilter", "time", "generation", "shadow"}
    assert (found.header["generation"], found.header["shadow"], found.cut) == (7, False, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_session_in_shadow(tmp_path: Path) -> None:
    recording = recorder(tmp_path / "sessions")
    text = 'function mod:validate_mailfrom(str, ac, vctx) vctx:set_code(550, "no") end'
    with shadowed(tmp_path, text, observe=recording.observe) as shadow:
        outcomes = shadow.session(SESSION)
    found = read(saved(tmp_path / "sessions")[0])
    assert found.header["shadow"] is True
    assert [outcome for _, outcome in found.steps] == outcomes


def test_each_event_is_there_as_soon_as_it_happened(tmp_path: Path) -> None:
    recording, drive = recorder(tmp_path), Drive()
    for count, event in enumerate(SESSION, 1):
        play(recording, [event], drive)
        assert len(read(saved(tmp_path)[0]).steps) == count


def test_only_who_was_asked_for_and_only_whole_sessions(tmp_path: Path) -> None:
    network = ipaddress.ip_network("198.51.100.0/24")
    recording = Recorder(str(tmp_path), [network])
    drive = Drive()
    play(recording, SESSION[:3], drive)
    recording.watch(["192.0.2.1"])
    play(recording, SESSION[3:], drive)
    assert saved(tmp_path) == []
    play(recording)
    assert len(saved(tmp_path)) == 1
    recording.watch([])
    play(recording)
    assert len(saved(tmp_path)) == 1
    play(recording, [Connect("c", "inet", "198.51.100.7", 1), Close()])
    assert len(saved(tmp_path)) == 2
    play(Recorder("", [network]), [Connect("c", "inet", "198.51.100.7", 1), Close()])
    play(recording, [Close()])  # a negotiation and nothing more


def test_sessions_have_files_of_their_own(tmp_path: Path) -> None:
    recording, drives = recorder(tmp_path), [Drive() for _ in range(5)]
    for event in SESSION:
        for drive in drives:
            play(recording, [event], drive)
    assert [len(read(file).steps) for file in saved(tmp_path)] == [len(SESSION)] * 5


# --- limits and trouble -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "big", [EndOfMessage((), b"x" * 5000), EndOfMessage(((b"A", b"x" * 5000),), b""), Helo("x" * 5000)]
)
def test_a_long_session_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, big: Event
) -> None:
    monkeypatch.setattr(record, "LONGEST", 4000)
    recording = recorder(tmp_path)
    for _ in range(2):
        play(recording, [CONNECT, Helo("a"), big, Helo("b"), Close()])
    for file in saved(tmp_path):
        assert [type(event) for event, _ in read(file).steps] == [Connect, Helo]
        assert read(file).cut.startswith("the rest would pass")
    assert len(caplog.records) == 1


def test_a_directory_is_not_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(record, "SESSIONS", 20)
    monkeypatch.setattr(record, "_LOOK", 0.0)
    recordings = [recorder(tmp_path), recorder(tmp_path)]
    for _ in range(30):
        for each in recordings:
            play(each)
    assert 20 <= len(saved(tmp_path)) <= 22
    assert len(caplog.records) == 2
    for file in saved(tmp_path)[:10]:
        file.unlink()
    play(recordings[0])
    assert 11 <= len(saved(tmp_path)) <= 13


def test_nor_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "TOTAL", 20_000)
    recording = recorder(tmp_path)
    for _ in range(100):
        play(recording)
    assert 20_000 <= sum(file.stat().st_size for file in saved(tmp_path)) <= 30_000


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process can grow beyond this: as on a full disk a write is cut short and the next one fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_told_once_and_leaves_what_fits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recording = recorder(tmp_path / "d")
    with largest_file(600):
        outcomes = [play(recording) for _ in range(3)]
    assert [len(each) for each in outcomes] == [len(SESSION)] * 3
    for file in saved(tmp_path / "d"):
        assert 0 < len(read(file).steps) < len(SESSION)
        assert file.read_bytes().endswith(b"\n")
    with largest_file(0):
        play(recording)
    assert len(saved(tmp_path / "d")) == 3  # no empty file
    (line,) = caplog.records
    assert "File too large" in line.getMessage()
    play(recording)
    assert len(read(saved(tmp_path / "d")[-1]).steps) == len(SESSION)


@pytest.mark.parametrize("what", ["file", "link", "gone"])
def test_a_directory_that_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str) -> None:
    directory = tmp_path / "d"
    if what == "file":
        directory.write_text("x")
    elif what == "link":
        directory.symlink_to(tmp_path / "nowhere")
    recording, drive = recorder(directory), Drive()
    play(recording, SESSION[:2], drive)
    if what == "gone":
        saved(directory)[0].unlink()
    play(recording, SESSION[2:], drive)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_no_descriptor_is_kept_and_no_session(tmp_path: Path) -> None:
    recording, drives = recorder(tmp_path), [Drive() for _ in range(20)]
    before = len(list(Path("/proc/self/fd").iterdir()))
    for drive in drives:
        play(recording, SESSION[:3], drive)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before  # fewer: what earlier tests left
    for drive in drives:
        play(recording, SESSION[3:], drive)
    assert not any(isinstance(each, Session) for each in recording._files)
