"""The language of golden conversations itself: what is no case is refused with its line, and a wrong case fails."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from support.golden import cases, parse, wire_form
from support.golden_daemon import WirePeer, serving
from support.golden_play import Play

HERE = Path(__file__).parent

RIGHT = """\
== a case
policy
    function mod:validate_ehlo(str) print(tostring(str)) end
    function mod:validate_rcptto(msg, str, ac, vctx)
      if tostring(str) == "no@a.example" then vctx:set_code(550, "no") end
    end
    function mod:validate_data(msg) msg:header("X-Mark", "1") end
helo client
mail ann@a.example
rcpt no@a.example -> 550 no
rcpt bob@a.example
message
    Subject: x

    body
gives
    to bob@a.example
    Subject: x
    X-Mark: 1

    body
prints
    client
logs
    verdict=accept
"""
WRONG = {
    "550 no": "550 yes",
    "to bob@": "to carl@",
    "    to bob": "    from x@a.example\n    to bob",
    "    X-Mark: 1\n": "    X-Mark: 2\n",
    "X-Mark: 1\n\n    body": "X-Mark: 1\n\n    other",
    "message\n": "message -> discard\n",
    "    client\n": "    other\n",
    "verdict=accept": "verdict=discard",
    "logs\n": "errors\n    policy.lua:5: boom\nlogs\n",
}


def play(text: str, directory: Path) -> None:
    (directory / "one.case").write_text(text)
    (case,) = parse(directory / "one.case")
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        socket = Path(short) / "m.sock"
        with serving(case, directory, socket, prints=True):
            Play(case, lambda: WirePeer(socket)).run()


def test_a_right_case_passes(tmp_path: Path) -> None:
    play(RIGHT, tmp_path)


@pytest.mark.parametrize("right", WRONG)
def test_a_wrong_case_fails(right: str, tmp_path: Path) -> None:
    assert RIGHT.count(right) == 1
    with pytest.raises(AssertionError):
        play(RIGHT.replace(right, WRONG[right]), tmp_path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("== a\nhelo x\nnonsense y\n", 3),
        ("== a\non nowhere\n", 2),
        ("helo x\n", 1),
        ("== a\ngives\n    to x\n", 2),
        ("    indented\n", 1),
    ],
)
def test_what_is_no_case_is_refused_with_its_line(text: str, line: int, tmp_path: Path) -> None:
    file = tmp_path / "bad.case"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"bad.case:{line}: "):
        parse(file)


def test_escapes() -> None:
    assert wire_form([r"a\xe4\\\t{b x 3}", "", "c"]) == b"a\xe4\\\tbbb\r\n\r\nc\r\n"


def test_titles_are_unique() -> None:
    names = [case.name for case in (one for file in HERE.glob("*.case") for one in parse(file))]
    assert len(names) == len(set(names))
    assert {case.name for runner in ("core", "wire", "postfix", "sendmail") for case in cases(HERE, runner)} == set(
        names
    )
