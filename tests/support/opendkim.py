"""A private opendkim, which signs or verifies what a milter client hands to it; Mail::DKIM for the same.

The law: loopback only, own directory, ended by its process; DNS is a file of keys.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lumilter.session.events import InsertHeader
from support.mail_keys import MailKey
from support.milter_client import Answer, MilterClient
from support.signed import content


@dataclass
class OpenDkim:
    """A running one."""

    socket: str

    def asked(self, message: bytes) -> Answer:
        """What it says to a message in CRLF lines."""
        made = content(message)
        with MilterClient(self.socket) as client:
            client.negotiate()
            client.connect("localhost", address="127.0.0.1")
            client.helo()
            client.macros("M", {"i": "QUEUEID"})
            for answer in (client.mail(), client.rcpt(), client.data()):
                assert answer.kind in ("continue", "none", "off"), answer
            for name, value in made.fields:
                client.header(name, value.replace(b"\r\n", b"\n"))
            client.eoh()
            client.body(bytes(made.body))
            return client.eom()

    def sign(self, message: bytes) -> bytes:
        """The message with its signature."""
        edits = self.asked(message).edits
        value = next(edit.value for edit in edits if isinstance(edit, InsertHeader) and edit.name == b"DKIM-Signature")
        return _signed(value, message)

    def verify(self, message: bytes) -> str:
        """The Authentication-Results that it adds, without white space."""
        edits = self.asked(message).edits
        found = [e.value for e in edits if isinstance(e, InsertHeader) and e.name == b"Authentication-Results"]
        return " ".join(b" ".join(found).decode("latin-1").split())


def _signed(value: bytes, message: bytes) -> bytes:
    value = value if value.startswith(b" ") else b" " + value
    return b"DKIM-Signature:" + value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + b"\r\n" + message


@contextmanager
def opendkim(directory: Path, settings: Mapping[str, object]) -> Iterator[OpenDkim]:
    """Run one. settings: of its configuration file, beside what every private one needs."""
    place = tempfile.mkdtemp(prefix="od-", dir="/tmp")  # a socket's path is short; over TCP it answers 40 ms late
    path = f"{place}/s"
    own: dict[str, object] = {
        "Socket": f"local:{path}", "Syslog": "no", "RequireSafeKeys": "no", "AllowSHA1Only": "yes",
        "UserID": "root", "MinimumKeyBits": 0, "AlwaysAddARHeader": "yes",
    }  # fmt: skip
    directory.mkdir(exist_ok=True)
    lines = [f"{name} {value}\n" for name, value in {**own, **settings}.items()]
    (directory / "opendkim.conf").write_text("".join(lines))
    command = ["opendkim", "-x", str(directory / "opendkim.conf"), "-f"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(path)
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    raise AssertionError(process.communicate()[0]) from None
                time.sleep(0.05)
        yield OpenDkim(path)
    finally:
        process.kill()  # it has nothing to save, and would take 5 s to end
        process.communicate(timeout=20)
        shutil.rmtree(place)


@contextmanager
def signing(directory: Path, key: MailKey, algorithm: str, method: str) -> Iterator[OpenDkim]:
    """One that signs for example.org with the selector s."""
    directory.mkdir(exist_ok=True)
    (directory / "key.pem").write_bytes(key.pem)
    (directory / "key.pem").chmod(0o600)
    wanted = {
        "Mode": "s", "Domain": "example.org", "Selector": "s", "KeyFile": directory / "key.pem",
        "SignatureAlgorithm": algorithm, "Canonicalization": method, "InternalHosts": "0.0.0.0/0",
    }  # fmt: skip
    with opendkim(directory, wanted) as running:
        yield running


@contextmanager
def verifying(directory: Path, keys: Mapping[str, str]) -> Iterator[OpenDkim]:
    """One that verifies. keys: TXT records by name."""
    directory.mkdir(exist_ok=True)
    (directory / "keys").write_text("".join(f"{name} {record}\n" for name, record in keys.items()))
    with opendkim(directory, {"Mode": "v", "TestPublicKeys": directory / "keys"}) as running:
        yield running


def mail_dkim_sign(message: bytes, directory: Path, key: MailKey, algorithm: str, method: str) -> bytes:
    """The message with a signature by Mail::DKIM."""
    (directory / "key.pem").write_bytes(key.pem)
    program = """
        use Mail::DKIM::Signer; binmode STDIN; my $text = do { local $/; <STDIN> };
        my $signer = Mail::DKIM::Signer->new(Algorithm => $ARGV[1], Method => $ARGV[2], Domain => "example.org",
            Selector => "s", KeyFile => $ARGV[0]);
        $signer->PRINT($text); $signer->CLOSE; print $signer->signature->as_string;
    """
    made = perl(program, message, str(directory / "key.pem"), algorithm, method)
    return _signed(re.sub(rb"^DKIM-Signature:", b"", made), message)


def mail_dkim_verify(message: bytes, keys: Mapping[str, str]) -> list[str]:
    """The result of each signature, DomainKeys included, by Mail::DKIM: "pass", "fail (...)", ..."""
    program = """
        use Mail::DKIM::Verifier; use Mail::DKIM::PublicKey; binmode STDIN; my %keys = @ARGV;
        { no warnings 'redefine';
          require Mail::DKIM::DNS;
          *Mail::DKIM::DNS::query = sub { my ($name) = @_; return unless exists $keys{$name};
            return bless({ t => $keys{$name} }, 'Answer'); };
          package Answer; sub type { 'TXT' } sub txtdata { $_[0]{t} } sub char_str_list { ($_[0]{t}) } }
        my $text = do { local $/; <STDIN> };
        my $v = Mail::DKIM::Verifier->new(); $v->PRINT($text); $v->CLOSE;
        print join("\\n", map { $_->result_detail } $v->signatures);
    """
    flat = [part for pair in keys.items() for part in pair]
    return perl(program, message, *flat).decode().splitlines()


def perl(program: str, message: bytes, *arguments: str) -> bytes:
    done = subprocess.run(["perl", "-e", program, *arguments], input=message, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
