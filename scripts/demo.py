"""The demo: a Postfix, lumilter with conf/demo/policy.lua, a place where mail ends, and what became of each message.

The law: nothing is simulated. Messages go in by SMTP, and what arrived is read at the other end. What a rule of the
policy should do is written beside its message; the exit status is 1 if anything else happened.
"""

from __future__ import annotations

import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.postfix import PrivatePostfix  # noqa: E402
from support.sink import Received, Sink  # noqa: E402


@dataclass(frozen=True)
class Case:
    """A message, and what the policy should do: the client's last reply code, and who gets the message."""

    title: str
    code: int
    arrives: tuple[str, ...]
    sender: str = "alice@client.example"
    recipient: str = "bob@site.example"
    helo: str = "client.example"
    subject: str = "Lunch"
    extra: str = ""

    @property
    def message(self) -> bytes:
        lines = [f"From: {self.sender}", f"To: {self.recipient}", f"Subject: {self.subject}", *self.extra.splitlines()]
        return "\r\n".join([*lines, "", "Hello.", ""]).encode()


CASES = (
    Case("ordinary mail passes and is marked", 250, ("bob@site.example",)),
    Case("a client that claims our name is refused", 550, (), helo="mx.site.example"),
    Case("a blocked sender domain is refused", 554, (), sender="win@spam.example"),
    Case("mail for another site is refused", 550, (), recipient="eve@elsewhere.example"),
    Case("a recipient is put off until later", 451, (), recipient="later@site.example"),
    Case("a subject is refused", 554, (), subject="Cheap V1agra"),
    Case("a list's tag goes from the subject to a header", 250, ("bob@site.example",), subject="[announce] New things"),
    Case("what is marked as spam is discarded silently", 250, (), extra="X-Spam-Flag: YES"),
    Case(
        "but not for the postmaster",
        250,
        ("postmaster@site.example",),
        recipient="postmaster@site.example",
        extra="X-Spam-Flag: YES",
    ),
    Case("a recipient that moved gets it at the new address", 250, ("new@site.example",), recipient="old@site.example"),
)


def main() -> int:
    """Run every case; 0 if each went as its title says."""
    # In /tmp whatever TMPDIR says: the user postfix must be able to reach it.
    with tempfile.TemporaryDirectory(prefix="lumilter-demo-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        milter = f"unix:{directory}/milter.sock"
        with (
            Sink() as sink,
            lumilter(milter, directory / "lumilter.log"),
            PrivatePostfix(directory / "postfix", milter, relay_port=sink.port) as postfix,
        ):
            print(f"Postfix on 127.0.0.1:{postfix.smtp_port}, lumilter on {milter}, policy conf/demo/policy.lua\n")
            wrong = sum(not run(case, postfix, sink) for case in CASES)
            if wrong:
                print((directory / "lumilter.log").read_text(errors="replace"), postfix.maillog(), sep="\n")
    print(f"{len(CASES) - wrong} of {len(CASES)} messages were treated as the policy says")
    return int(wrong > 0)


@contextmanager
def lumilter(listen: str, log: Path) -> Iterator[None]:
    """The daemon, from its start until it has ended."""
    command = [sys.executable, "-m", "lumilter", "serve", "-c", ROOT / "conf/demo.toml", "-p", listen]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as daemon:
        try:
            while not answers(listen.removeprefix("unix:")):
                if daemon.poll() is not None:
                    raise SystemExit(f"lumilter ended with status {daemon.returncode}:\n{log.read_text()}")
                time.sleep(0.05)
            yield
        finally:
            daemon.terminate()


def answers(path: str) -> bool:
    """Whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


def run(case: Case, postfix: PrivatePostfix, sink: Sink) -> bool:
    """Send one message and print what the client was told and what arrived; True if it is what the case expects."""
    before = len(sink.messages)
    code, text = send(case, postfix.smtp_port)
    postfix.wait_empty()
    arrived = sink.messages[before:]
    right = code == case.code and tuple(r for message in arrived for r in message.recipients) == case.arrives
    print(f"{'ok  ' if right else 'NOT '} {case.title}")
    shown = ", ".join([f"Subject: {case.subject}", *case.extra.splitlines()])
    print(f"       {case.sender} to {case.recipient}, HELO {case.helo}, {shown}")
    print(f"       client: {code} {text}")
    for line in arrival(arrived):
        print(f"       {line}")
    print()
    return right


def send(case: Case, port: int) -> tuple[int, str]:
    """The reply that ended the message: the first refusal, or the one to the final dot."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname=case.helo) as client:
        steps = (
            lambda: client.ehlo(case.helo),
            lambda: client.mail(case.sender),
            lambda: client.rcpt(case.recipient),
            lambda: client.data(case.message),
        )
        for step in steps:
            try:
                code, text = step()
            except smtplib.SMTPResponseException as error:
                code, text = error.smtp_code, error.smtp_error
            if code >= 400:
                break
    return code, text.decode("utf-8", "replace").replace("\n", " / ")


def arrival(messages: list[Received]) -> Iterator[str]:
    """What arrived, and which headers of it are the policy's."""
    if not messages:
        yield "arrived: nothing"
    for message in messages:
        yield f"arrived: for {', '.join(message.recipients)}"
        for name, value in message.headers:
            if name.lower() == b"subject" or name.lower().startswith(b"x-demo"):
                yield f"         {name.decode()}: {value.decode('utf-8', 'replace')}"


if __name__ == "__main__":
    raise SystemExit(main())
