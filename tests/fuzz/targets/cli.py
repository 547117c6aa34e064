"""`lumilter test`: any bytes as a message, through the whole command.

The law: it is the command itself, with its output to a strict UTF-8 stream as on a terminal.
"""

from __future__ import annotations

import io
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import BYTES, damaged, soup
from lumilter.cli import main
from lumilter.cli.eml import read_message

MESSAGES = [
    b"Received: from a\r\n\tby b; Mon, 1 Jun 2026 10:00:00 +0000\r\nFrom: Ann <ann@example.org>\r\n"
    b"To: bob@example.com\r\nSubject: =?utf-8?Q?caf=C3=A9?=\r\n\r\nHello.\r\n",
    b"From x Mon Jun 1\nSubject: a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b--\n",
    b"\n",
    b"Subject: x\r\n" * 100,
]
PIECES = [
    "Subject",
    "From",
    ":",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\r",
    "\n\n",
    "x",
    "=?utf-8?Q?=E9?=",
    "\udce9",
    "\u00e9",
    "From ",
    "<a@b>",
    ",",
]
RAW = st.one_of(
    damaged(MESSAGES, [b"\r", b"\n", b"\n\n", b":", b"\0", b"\xff", b" ", b"From "]),
    soup(PIECES).map(lambda text: text.encode("utf-8", "surrogateescape" if "\ud800" not in text else "replace")),
    BYTES,
)
POLICY = """
local mod = {}
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  local subject = msg:header("Subject")
  msg:header("Subject", (subject[1] or "none") .. "!")
  msg:header("X-From", msg:address_header("From", "all"), "prepend")
  if #subject > 1 then msg:header("Received", nil, "delete") end
  print(subject[1], msys.expandMacro("%{rfc2822:text}", msg))
  vctx:set_code(#subject % 3 == 0 and 250 or #subject % 3 == 1 and 250 or 550, subject[1])
end
msys.registerModule("policy", mod)
"""


@contextmanager
def script() -> Iterator[Path]:
    root = logging.getLogger()
    level = root.level
    with tempfile.TemporaryDirectory(prefix="fuzz-") as made:
        (Path(made) / "policy.lua").write_text(POLICY)
        yield Path(made)
    root.setLevel(level)


@target(RAW, st.booleans(), st.booleans(), using=script, examples=25)
def command(where: Path, raw: bytes, as_json: bool, diff: bool) -> None:
    """Any bytes are a message: the command accepts or refuses it, and shows how it leaves."""
    message = where / "message.eml"
    message.write_bytes(raw)
    out, complaints = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    options = [*(["--json"] if as_json else []), *(["--diff"] if diff else []), "--trace"]
    with redirect_stdout(out), redirect_stderr(complaints):
        status = main(["test", "-s", str(where / "policy.lua"), "-r", "bob@example.com", *options, str(message)])
    out.flush()
    shown = out.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert status in (0, 77), (status, shown, complaints.getvalue())
    assert not complaints.getvalue()
    if as_json:
        found = json.loads(shown)
        assert not found["errors"]
        assert found["verdict"] in ("accept", "reject")


@target(RAW, examples=400)
def message(raw: bytes) -> None:
    """Any bytes are header fields and a body with CRLF line ends, and none of the words is lost."""
    fields, body = read_message(raw)
    assert b"\n" not in body.replace(b"\r\n", b"")
    assert b"\r" not in body.replace(b"\r\n", b"")
    assert all(name and b"\n\n" not in value for name, value in fields)
    kept = b"".join(name + value for name, value in fields) + body
    assert len(b"".join(kept.split())) >= len(b"".join(raw.split())) - raw.count(b":") - len(raw.split(b"\n")[0])
