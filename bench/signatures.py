"""DKIM signatures made and verified per second, and the time of one, beside opendkim doing the same.

    .venv/bin/python -m bench.signatures [--write]     # prints the table, or renews bench/SIGNATURES.md

The law: one worker of lumilter against one opendkim, the same client, the same messages, the same key (RSA, 2048 bits,
relaxed/relaxed). Keys come from the cache of either. A cell is the best of three rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "milter"), str(ROOT / "tests")]

from support import opendkim  # noqa: E402
from support.daemon import Daemon, write  # noqa: E402
from support.dns_server import DnsServer  # noqa: E402
from support.mail_keys import rsa_key  # noqa: E402
from support.milter_client import MilterClient  # noqa: E402
from support.signed import content  # noqa: E402

PAGE = ROOT / "bench/SIGNATURES.md"
NAME = "s._domainkey.example.org"
SIZES = {"4 kB": 4_000, "100 kB": 100_000, "5 MB": 5_000_000}
CONNECTIONS = 4
VERIFY = """
require("msys.validate.opendkim")
function mod:validate_data(msg, ac, vctx)
  local handle, status = msys.validate.opendkim.verify(msg)
  msg:header("X-Status", tostring(status))
end
"""
Socket = str


def message(size: int) -> bytes:
    """A plain message of that size."""
    head = b"From: Ann <ann@example.org>\r\nTo: bob@example.com\r\nSubject: a bench\r\nDate: x\r\n\r\n"
    return head + b"The quick brown fox jumps over the lazy dog,  again and again.\r\n" * (size // 64)


@contextmanager
def ours(directory: Path, sign: bool) -> Iterator[Socket]:
    """lumilter with one worker."""
    (directory / "key.pem").write_bytes(rsa_key(2048).pem)
    (directory / "key.pem").chmod(0o600)
    record = rsa_key(2048).record()
    parts = " ".join(f'"{record[at : at + 200]}"' for at in range(0, len(record), 200))
    with DnsServer({(NAME, "TXT"): [f"{NAME}. 3600 IN TXT {parts}"]}) as dns:
        key = f'[dkim]\nselector = "s"\nkey = "{directory}/key.pem"\nsign_condition = ""\n'
        domain = '[[dkim_domain]]\ndomain = "example.org"\n'
        config = key + domain if sign else f'[dns]\nservers = ["{dns.address}"]\n'
        script = "" if sign else VERIFY
        with Daemon(write(directory / "etc", directory / "m.sock", [script], config), directory / "log"):
            yield str(directory / "m.sock")


@contextmanager
def theirs(directory: Path, sign: bool) -> Iterator[Socket]:
    """opendkim."""
    key = rsa_key(2048)
    made = (
        opendkim.signing(directory, key, "rsa-sha256", "relaxed/relaxed")
        if sign
        else opendkim.verifying(directory, {NAME: key.record()})
    )
    with made as running:
        yield running.socket


def send(socket: Socket, raw: bytes, count: int) -> None:
    """So many messages over one connection; every one must come back changed."""
    made = content(raw)
    fields = [(name, value.replace(b"\r\n", b"\n")) for name, value in made.fields]
    body = bytes(made.body)
    with MilterClient(socket, timeout=120) as mta:
        mta.negotiate()
        mta.connect("localhost", address="127.0.0.1")
        mta.helo()
        for number in range(count):
            mta.macros("M", {"i": f"Q{number}"})
            mta.mail()
            mta.rcpt()
            mta.data()
            for name, value in fields:
                mta.header(name, value)
            mta.eoh()
            mta.body(body)
            answer = mta.eom()
            assert answer.edits, answer


def measured(socket: Socket, raw: bytes, count: int) -> tuple[float, float]:
    """Milliseconds of a message alone, and messages per second on several connections."""
    send(socket, raw, 3)
    alone, together = [], []
    for _ in range(3):
        begun = time.perf_counter()
        send(socket, raw, count)
        alone.append((time.perf_counter() - begun) / count * 1000)
        threads = [threading.Thread(target=send, args=(socket, raw, count)) for _ in range(CONNECTIONS)]
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        together.append(count * CONNECTIONS / (time.perf_counter() - begun))
    return min(alone), max(together)


def signed(raw: bytes) -> bytes:
    """The message with a signature of opendkim's."""
    with (
        tempfile.TemporaryDirectory() as name,
        opendkim.signing(Path(name), rsa_key(2048), "rsa-sha256", "relaxed/relaxed") as other,
    ):
        return other.sign(raw)


def page() -> str:
    """The tables."""
    lines = [
        "# Signatures beside opendkim",
        "",
        f"Time of one message from MAIL to the answer, and messages per second on {CONNECTIONS} connections.",
        "Written by `python -m bench.signatures --write`; what it measures stands there.",
        "",
        "| | size | lumilter | opendkim |",
        "| --- | --- | ---: | ---: |",
    ]
    for sign, what in ((True, "sign"), (False, "verify")):
        for label, size in SIZES.items():
            raw = message(size) if sign else signed(message(size))
            cells = []
            for program in (ours, theirs):
                with tempfile.TemporaryDirectory() as name, program(Path(name), sign) as socket:
                    alone, rate = measured(socket, raw, 60 if size < 10**6 else 4)
                    cells.append(f"{alone:.2f} ms, {rate:.0f}/s")
            lines.append(f"| {what} | {label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"renew {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    text = page()
    if options.write:
        PAGE.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
