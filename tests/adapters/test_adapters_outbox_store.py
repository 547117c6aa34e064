"""adapters.outbox_store, adapters.outbox_file: what is on disk, and what is not taken for a message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.adapters.outbox import Outbox, OutboxError
from lumilter.adapters.outbox_file import BadFile, Envelope
from support.outbox import Rig

MILTER = str(Path(__file__).parents[2] / "milter")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    # Not tmp_path for the socket: its name may be too long for one.
    with tempfile.TemporaryDirectory() as directory:
        yield Rig(Path(directory))


def test_nothing_waits_in_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert Outbox(tmp_path / "none").waiting() == 0


def test_put_writes_one_private_file(rig: Rig) -> None:
    name = rig.outbox.put("\udcff@a", ["\u00fc\n@b", "c", "c"], [b"a\n", memoryview(b"\0\xff\r")])
    assert rig.outbox.waiting() == 1
    assert rig.outbox.names() == [name]
    (file,) = rig.files("waiting")
    first, _, content = file.read_bytes().partition(b"\n")
    assert content == b"a\n\0\xff\r"
    fields = json.loads(first.decode("ascii"))
    assert (fields["sender"], fields["recipients"]) == ("\udcff@a", ["\u00fc\n@b", "c"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o777 for path in [rig.directory, *rig.directory.iterdir()]} == {0o700}


TEXTS = st.text(st.characters(codec=None), max_size=20)


@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        Envelope,
        TEXTS,
        st.lists(TEXTS, min_size=1, max_size=5).map(tuple),
        st.floats(allow_nan=False, allow_infinity=False),
        st.floats(allow_nan=False, allow_infinity=False),
        st.integers(0, 10**30),
        TEXTS,
    )
)
def test_envelopes_are_read_as_they_were_written(envelope: Envelope) -> None:
    assert Envelope.parse(envelope.line()) == envelope


GOOD = json.loads(Envelope("a", ("b",), 1.0, 2.0).line())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(GOOD)) | st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=50)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.tuples(st.sampled_from(sorted(GOOD)), JSON).map(lambda pair: json.dumps(GOOD | {pair[0]: pair[1]}).encode())
    | st.sampled_from([b"[" * 100_000, b"1" * 10_000])
)
def test_other_lines_are_bad_files(line: bytes) -> None:
    try:
        envelope = Envelope.parse(line)
    except BadFile:
        return
    assert Envelope.parse(envelope.line()) == envelope
    assert envelope.recipients
    assert all(isinstance(text, str) for text in (envelope.sender, *envelope.recipients, envelope.reason))


def test_a_message_without_recipients(rig: Rig) -> None:
    with pytest.raises(OutboxError, match="without recipients"):
        rig.outbox.put("a", [], [b""])


def test_a_directory_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outbox = Outbox(tmp_path / "file" / "box")
    with pytest.raises(OutboxError, match="file"):
        outbox.put("a", ["b"], [b""])


FULL = """
import pathlib, resource, sys
from lumilter.adapters.outbox import Outbox, OutboxError
outbox = Outbox(pathlib.Path(sys.argv[1]))
outbox.put("a", ["b"], [b"before"])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    outbox.put("a", ["b"], [b"x" * 1000] * 5)
except OutboxError as error:
    print(error)
outbox.put("a", ["b"], [b"after"])
"""


def test_a_full_disk_leaves_nothing_of_the_message(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], env={**os.environ, "PYTHONPATH": MILTER}, capture_output=True,
        text=True, check=True, timeout=60,
    )  # fmt: skip
    assert ran.stdout == f"{tmp_path}: File too large\n"
    assert sorted(path.read_bytes()[-5:] for path in (tmp_path / "waiting").iterdir()) == [b"after", b"efore"]
    assert list((tmp_path / "new").iterdir()) == []
