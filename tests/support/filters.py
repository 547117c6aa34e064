"""rspamd, spamd and c-icap of the tests' own, with a few rules that they made: started in a second, ended by process.

The law: nothing of the machine's own configuration of them is read, nothing leaves the loopback address.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lumilter.config.address import SocketAddress
from support.clamd import Clamd
from support.ports import free_port

SPAM = b"lumilter-test-spam"
"""What both filters take for spam; "some" in the subject is a little."""

_RSPAMD = """
options {{
  pidfile = "{0}/rspamd.pid"; tempdir = "{0}"; url_tld = "{0}/tld.dat"; filters = ""; history_file = "";
  control_socket = "{0}/rspamd.ctl mode=0600"; disable_monitoring = true;
  dns {{ nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; }}
}}
logging {{ type = "file"; filename = "{0}/rspamd.log"; level = "info"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{1}"; count = 1; }}
actions {{ reject = 15; add_header = 6; greylist = 4; }}
lua = "{0}/rules.lua";
"""
_RULES = """
rspamd_config:register_symbol({ name = 'LUMILTER_SPAM', score = 20.0, callback = function(task)
  return tostring(task:get_content()):find('lumilter-test-spam', 1, true) ~= nil
end })
rspamd_config:register_symbol({ name = 'LUMILTER_SOME', score = 7.0, callback = function(task)
  return (task:get_subject() or ''):find('some') ~= nil
end })
rspamd_config:register_symbol({ name = 'LUMILTER_KNOWS', score = 0.5, callback = function(task)
  local to = {}
  for _, each in ipairs(task:get_recipients('smtp') or {}) do to[#to + 1] = each.addr end
  local from = (task:get_from('smtp') or {})[1]
  local known = table.concat({ from and from.addr or '', table.concat(to, '+'), tostring(task:get_from_ip()),
    task:get_helo() or '', task:get_hostname() or '', task:get_user() or '' }, ' ')
  return known == 'ann@example.org bob@example.com+carol@example.com 192.0.2.1 client.example host.example ann'
end })
"""
# SpamAssassin trusts a client that authenticated to the first relay.
_SPAMD = r"""
required_score 5
use_bayes 0
body LUMILTER_SPAM /lumilter-test-spam/
score LUMILTER_SPAM 7.1
header LUMILTER_SOME Subject =~ /some/i
score LUMILTER_SOME 1
header LUMILTER_KNOWS X-Spam-Relays-Trusted =~ /^\[ ip=192\.0\.2\.1 rdns=host\.example helo=client\.example .* auth=E/
score LUMILTER_KNOWS 0.5
"""
_ICAP = """
PidFile {0}/c-icap.pid
CommandsSocket {0}/c-icap.ctl
Port 127.0.0.1:{1}
{2}
TmpDir {0}
StartServers 1
MaxServers 1
MinSpareThreads 2
MaxSpareThreads 4
ThreadsPerChild 4
ModulesDir {3}
ServicesDir {3}
TemplateDir /usr/share/c_icap/templates/
TemplateDefaultLanguage en
LoadMagicFile /etc/c-icap/c-icap.magic
ServerLog {0}/server.log
AccessLog {0}/access.log
Service antivirus_module virus_scan.so
ServiceAlias avscan virus_scan?allow204=on&sizelimit=off&mode=simple
virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE
virus_scan.MaxObjectSize 5M
virus_scan.DefaultEngine clamd
Service echo srv_echo.so
Module common clamd_mod.so
clamd_mod.ClamdSocket {4}
"""


@contextmanager
def _running(arguments: list[str], output: Path, answers: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own group, once it answers."""
    with output.open("wb") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=out, start_new_session=True)
    try:
        until = time.monotonic() + 90
        while not answers():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{arguments[0]} did not start: {output.read_text(errors='replace')}")
            time.sleep(0.05)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _says(port: int, request: bytes, wanted: bytes) -> Callable[[], bool]:
    def ask() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as sock:
            sock.sendall(request)
            return wanted in sock.recv(4096)
        return False

    return ask


def _shakes_hands(port: int) -> Callable[[], bool]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def ask() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as sock:
            context.wrap_socket(sock).close()
            return True
        return False

    return ask


@contextmanager
def rspamd(directory: Path) -> Iterator[SocketAddress]:
    """An rspamd: add header from 6, reject from 15."""
    port = free_port()
    (directory / "tld.dat").write_text("com\norg\nexample\n")
    (directory / "rules.lua").write_text(_RULES)
    (directory / "rspamd.conf").write_text(_RSPAMD.format(directory, port))
    arguments = ["rspamd", "-f", "-c", str(directory / "rspamd.conf")]
    if os.geteuid() == 0:
        arguments += ["-i", "-u", "root", "-g", "root"]
    ping = _says(port, b"GET /ping HTTP/1.0\r\n\r\n", b"pong")
    with _running(arguments, directory / "rspamd.out", ping):
        yield SocketAddress("inet", host="127.0.0.1", port=port)


@contextmanager
def spamd(directory: Path, tls: tuple[Path, Path] | None = None) -> Iterator[SocketAddress]:
    """A spamd: spam from 5. tls: it speaks that, by the name localhost, with this certificate and key."""
    port = free_port()
    rules = directory / "spamassassin"
    rules.mkdir()
    directory.chmod(0o755)  # it reads them as nobody
    (rules / "lumilter.pre").write_text("loadplugin Mail::SpamAssassin::Plugin::Check\n")
    (rules / "lumilter.cf").write_text(_SPAMD)
    arguments = ["spamd", "-L", "-x", "-C", str(rules), f"--siteconfigpath={rules}", "-i", f"127.0.0.1:{port}"]
    arguments += ["-m", "2", "-s", "stderr", "-r", str(directory / "spamd.pid")]
    ping = _says(port, b"PING SPAMC/1.5\r\n\r\n", b"PONG")
    if tls is not None:
        arguments += ["--ssl", "--server-cert", str(tls[0]), "--server-key", str(tls[1])]
        with _running(arguments, directory / "spamd.out", _shakes_hands(port)):
            yield SocketAddress("inet", host="localhost", port=port)
        return
    with _running(arguments, directory / "spamd.out", ping):
        yield SocketAddress("inet", host="127.0.0.1", port=port)


@contextmanager
def c_icap(directory: Path, clamd: Clamd, tls: tuple[Path, Path] | None = None) -> Iterator[SocketAddress]:
    """c-icap with the services virus_scan, which asks that clamd, and echo. tls: as for spamd."""
    port = free_port()
    modules = "/usr/lib/x86_64-linux-gnu/c_icap"
    if not Path(modules).exists():
        modules = str(next(Path("/usr/lib").glob("*/c_icap")))
    user = "User root\nGroup root" if os.geteuid() == 0 else ""
    text = _ICAP.format(directory, port, user, modules, clamd.unix.path)
    if tls is not None:
        text = text.replace(f"Port 127.0.0.1:{port}", f"TlsPort 127.0.0.1:{port} cert={tls[0]} key={tls[1]}")
    (directory / "c-icap.conf").write_text(text)
    options = _says(port, f"OPTIONS icap://127.0.0.1:{port}/virus_scan ICAP/1.0\r\nHost: x\r\n\r\n".encode(), b" 200 ")
    arguments = ["c-icap", "-N", "-D", "-f", str(directory / "c-icap.conf")]
    answers = options if tls is None else _shakes_hands(port)
    with _running(arguments, directory / "c-icap.out", answers):
        yield SocketAddress("inet", host="127.0.0.1" if tls is None else "localhost", port=port)
