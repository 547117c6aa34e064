"""A private Sendmail 8.17 for tests, from Debian packages that are unpacked and never installed.

The law: nothing of the system is touched. Sendmail conflicts with Postfix as a package, so it is taken apart into a
cache directory; it runs in name spaces of its own (a host name with a dot, or it sleeps for a minute; a /dev whose
`log` is ours; a /run where a milter's socket can be as safe as Sendmail wants it, which it is not below /tmp). It
listens on loopback only and hands every message to a sink.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType

_PACKAGES = ("sendmail-bin", "sendmail-base", "sendmail-cf", "m4", "liblockfile1", "libwrap0")

_MC = """\
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `sendmail.test')dnl
define(`QUEUE_DIR', `@DIR@/mqueue')dnl
define(`STATUS_FILE', `@DIR@/statistics')dnl
define(`HELP_FILE', `@DIR@/helpfile')dnl
define(`ALIAS_FILE', `')dnl
define(`confPID_FILE', `@DIR@/sendmail.pid')dnl
define(`confCW_FILE', `-o @DIR@/none')dnl
define(`confCT_FILE', `-o @DIR@/none')dnl
define(`confTO_IDENT', `0')dnl
define(`confLOG_LEVEL', `15')dnl
define(`confDONT_PROBE_INTERFACES', `true')dnl
define(`confDONT_BLAME_SENDMAIL', `GroupWritableDirPathSafe, TrustStickyBit')dnl
define(`confDELIVERY_MODE', `background')dnl
define(`confTRY_NULL_MX_LIST', `true')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `1000')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
define(`RELAY_MAILER_ARGS', `TCP $h @RELAY_PORT@')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unqualified_senders')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`promiscuous_relay')dnl
DAEMON_OPTIONS(`Name=MTA, Family=inet, Addr=127.0.0.1, Port=@SMTP_PORT@')dnl
@EXTRA_MC@MAILER(`smtp')dnl
"""

_FILTER = "INPUT_MAIL_FILTER(`lumilter', `S=@SOCKET@, F=T, T=C:10s;S:30s;R:30s;E:60s')dnl\n"

_NAMESPACE = """\
set -e
mount --make-rprivate /
mkdir -p "$1/dev"
mount -t tmpfs tmpfs "$1/dev"
for device in null zero random urandom tty; do
    touch "$1/dev/$device"
    mount --bind "/dev/$device" "$1/dev/$device"
done
ln -s "$1/log.sock" "$1/dev/log"
mount --move "$1/dev" /dev
mount --bind "$1/run" /run
hostname sendmail.test
shift
exec "$@"
"""


class Unavailable(Exception):
    """This machine can't run it: not root, no name spaces, no package archive."""


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path(tempfile.gettempdir())) / "lumilter-test-sendmail"


def unpack() -> Path:
    """The unpacked tree; downloaded once. Raises Unavailable."""
    tree = cache() / "tree"
    if tree.exists():
        return tree
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as scratch:
        done = subprocess.run(["apt-get", "download", *_PACKAGES], cwd=scratch, capture_output=True, text=True)
        if done.returncode:
            raise Unavailable(f"apt-get download: {done.stderr.strip()}")
        new = Path(scratch, "tree")
        for package in Path(scratch).glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, new], check=True)
        binary = new / "usr/libexec/sendmail/sendmail"
        binary.chmod(0o755)  # with its set-group-id bit the dynamic linker would not look at LD_LIBRARY_PATH
        try:
            new.rename(tree)
        except OSError:  # another process was faster
            if not tree.exists():
                raise
    return tree


class PrivateSendmail:
    """A context manager: a running Sendmail whose spool, configuration and log are below `directory`.

    milter_socket: as Sendmail spells it, "local:/path" or "inet:port@host"; None for none. smtp_port: where it
    listens on 127.0.0.1; relay_port: where on 127.0.0.1 every message goes. extra_mc: m4 lines for sendmail.mc. Its
    /run is `directory`/run.
    """

    def __init__(
        self, directory: Path, milter_socket: str | None, smtp_port: int, relay_port: int, extra_mc: str = ""
    ) -> None:
        self.directory = directory
        self.smtp_port = smtp_port
        self._lines: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        filters = _FILTER.replace("@SOCKET@", milter_socket) if milter_socket else ""
        self._mc = (
            _MC.replace("@EXTRA_MC@", extra_mc + filters)
            .replace("@DIR@", str(directory))
            .replace("@RELAY_PORT@", str(relay_port))
            .replace("@SMTP_PORT@", str(smtp_port))
        )

    @property
    def log(self) -> str:
        """What it gave to syslog so far."""
        return "".join(self._lines)

    def start(self) -> None:
        """Start it and wait until it answers, be it with a refusal. Raises Unavailable; RuntimeError with its log."""
        if os.geteuid() or not shutil.which("unshare"):
            raise Unavailable("Sendmail in a name space of its own needs root and unshare")
        tree = unpack()
        (self.directory / "mqueue").mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.directory / "run").mkdir(exist_ok=True)
        configuration = self.directory / "sendmail.cf"
        configuration.write_text(self._configuration(tree))
        configuration.chmod(0o600)
        (self.directory / "helpfile").touch()
        self._syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._syslog.bind(str(self.directory / "log.sock"))
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        command = [str(tree / "usr/libexec/sendmail/sendmail"), f"-C{configuration}", "-bD", "-q1h"]
        self._process = subprocess.Popen(
            ["unshare", "--uts", "--mount", "sh", "-c", _NAMESPACE, "sh", self.directory, *command],
            env={**os.environ, "LD_LIBRARY_PATH": _libraries(tree)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._wait_for_greeting()

    def stop(self) -> None:
        """End it and what it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.communicate(timeout=20)
            self._process = None
            self._syslog.shutdown(socket.SHUT_RDWR)
            self._reader.join()
            self._syslog.close()

    def __enter__(self) -> PrivateSendmail:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _configuration(self, tree: Path) -> str:
        macros = tree / "usr/share/sendmail/cf"
        done = subprocess.run(
            [tree / "usr/bin/m4", f"-D_CF_DIR_={macros}/", macros / "m4/cf.m4", "-"],
            input=self._mc,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "LD_LIBRARY_PATH": _libraries(tree)},
        )
        return done.stdout

    def _wait_for_greeting(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if self._process.poll() is not None:
                output = self._process.stdout.read().decode(errors="replace")
                if output.startswith(("unshare:", "mount:")):
                    raise Unavailable(output)
                raise RuntimeError(f"Sendmail ended: {output}\n{self.log}")
            try:
                with socket.create_connection(("127.0.0.1", self.smtp_port), 5) as probe:
                    if probe.recv(3) in (b"220", b"554"):
                        return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"Sendmail does not answer: {self.log}")

    def _read_log(self) -> None:
        while True:
            line = self._syslog.recv(8192)
            if not line:
                return
            self._lines.append(line.decode(errors="replace").rstrip("\0\n") + "\n")


def _libraries(tree: Path) -> str:
    folders = {str(found.parent) for found in tree.glob("**/*.so.*")}
    return os.pathsep.join(sorted(folders))
