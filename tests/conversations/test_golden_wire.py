"""The golden conversations against a real daemon on a milter socket, over both wires."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from support.golden import Case, cases
from support.golden_daemon import WirePeer, serving
from support.golden_play import Play


@pytest.mark.parametrize("wire", ["python", "libmilter"])
@pytest.mark.parametrize("case", cases(Path(__file__).parent, "wire"), ids=lambda case: case.name)
def test_wire(case: Case, wire: str, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # a socket's path has at most 107 bytes
        socket = Path(short) / "milter.sock"
        with serving(case, tmp_path, socket, wire, prints=True):
            Play(case, lambda: WirePeer(socket)).run()
