"""A Postfix of one's own: its own queue, configuration and ports on the loopback address, for the tests and the demo.

The law: no other Postfix on the machine is touched. Needs root (Postfix's master does) and Debian's postfix package,
whose service need not run. The milter settings are those of docs/postfix.md, which has its own test.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from support.ports import free_port

_SERVICES = """
pickup    unix  n  -  n  60    1  pickup
cleanup   unix  n  -  n  -     0  cleanup
qmgr      unix  n  -  n  300   1  qmgr
tlsmgr    unix  -  -  n  1000? 1  tlsmgr
rewrite   unix  -  -  n  -     -  trivial-rewrite
bounce    unix  -  -  n  -     0  bounce
defer     unix  -  -  n  -     0  bounce
trace     unix  -  -  n  -     0  bounce
verify    unix  -  -  n  -     1  verify
flush     unix  n  -  n  1000? 0  flush
proxymap  unix  -  -  n  -     -  proxymap
proxywrite unix -  -  n  -     1  proxymap
smtp      unix  -  -  n  -     -  smtp
relay     unix  -  -  n  -     -  smtp
lmtp      unix  -  -  n  -     -  lmtp
showq     unix  n  -  n  -     -  showq
error     unix  -  -  n  -     -  error
retry     unix  -  -  n  -     -  error
discard   unix  -  -  n  -     -  discard
anvil     unix  -  -  n  -     1  anvil
scache    unix  -  -  n  -     1  scache
postlog   unix-dgram n - n -   1  postlogd
"""
"""As Debian's master.cf, but only what is asked for is chrooted, and nothing is delivered locally."""


def settings(text: str) -> dict[str, str]:
    """A main.cf as names and values, continuation lines joined."""
    logical: list[str] = []
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and logical:
            logical[-1] += " " + line.strip()
        elif line and not line.startswith("#"):
            logical.append(line)
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in logical)}


class PrivatePostfix:
    """A context manager.

    directory: absent or empty; the user postfix must be able to reach it (pytest's tmp_path is closed to it, use
    tempfile.mkdtemp and chmod 755). milter_socket: as smtpd_milters takes it, "unix:/path" or "inet:host:port", "" for
    none. smtp_port: where it listens, relay_port: where on 127.0.0.1 it sends everything; 0 takes a free one.
    extra_main: settings on top of ours. extra_master: whole lines of master.cf. chroot: smtpd and cleanup, which talk
    to milters, run in the queue directory, as on Debian.
    """

    def __init__(
        self,
        directory: Path,
        milter_socket: str,
        smtp_port: int = 0,
        relay_port: int = 0,
        extra_main: Mapping[str, str] | None = None,
        extra_master: Sequence[str] = (),
        chroot: bool = False,
    ) -> None:
        self.directory = directory
        self.smtp_port = smtp_port or free_port()
        self.relay_port = relay_port or free_port()
        self._main = {**self._own_settings(), "smtpd_milters": milter_socket, **(extra_main or {})}
        smtpd = f"127.0.0.1:{self.smtp_port} inet n - {'ny'[chroot]} - - smtpd"
        services = _SERVICES.replace("cleanup   unix  n  -  n", f"cleanup   unix  n  -  {'ny'[chroot]}")
        self._master = [smtpd, *services.split("\n"), *extra_master]

    def __enter__(self) -> PrivatePostfix:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Write the configuration and start; it listens when this returns. Raises RuntimeError with its log."""
        etc = self.directory / "etc"
        etc.mkdir(parents=True, exist_ok=True)
        for path in (self.directory, *self.directory.parents):
            if not path.stat().st_mode & 0o001:
                raise RuntimeError(f"{path} is closed to the user postfix: use another directory or chmod o+x")
        (self.directory / "spool").mkdir(exist_ok=True)
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        os.chown(data, pwd.getpwnam("postfix").pw_uid, grp.getgrnam("postfix").gr_gid)
        self._write_main()
        (etc / "master.cf").write_text("\n".join(self._master) + "\n")
        started = self._postfix("start")
        if started.returncode:
            self._postfix("abort")
            raise RuntimeError(f"Postfix did not start: {started.stdout}{self.maillog()}")

    def stop(self) -> None:
        """Stop it and forget its queue."""
        if self._postfix("stop").returncode:
            self._postfix("abort")
        shutil.rmtree(self.directory / "spool", ignore_errors=True)

    def reload(self, **main: str) -> None:
        """Change settings while it runs."""
        self._main.update(main)
        self._write_main()
        self._postfix("reload")

    def submit(self, message: bytes, *arguments: str) -> None:
        """Mail of this machine, given to sendmail(1): LF line ends."""
        command = ["/usr/sbin/sendmail", "-C", self.directory / "etc", *arguments]
        subprocess.run(command, input=message, check=True, capture_output=True)

    def delete(self, queue_id: str) -> None:
        """Take a message out of the queue; "ALL" for every one."""
        command = ["/usr/sbin/postsuper", "-c", self.directory / "etc", "-d", queue_id]
        subprocess.run(command, check=True, capture_output=True)

    def maillog(self) -> str:
        """What it logged so far."""
        file = self.directory / "maillog"
        return file.read_text(errors="surrogateescape") if file.exists() else ""

    def queue(self) -> list[dict[str, Any]]:
        """The messages in its queue, as `postqueue -j` prints them: queue_name, queue_id, sender, recipients."""
        listing = subprocess.run(
            ["/usr/sbin/postqueue", "-c", self.directory / "etc", "-j"], check=True, capture_output=True, text=True
        ).stdout
        return [json.loads(line) for line in listing.splitlines()]

    def wait_empty(self, timeout: float = 30) -> None:
        """Until everything was delivered or given up. Raises TimeoutError after `timeout` seconds."""
        self._wait(lambda: not self.queue(), timeout, "an empty queue")

    def wait_log(self, text: str, timeout: float = 30) -> None:
        """Until the log holds the text; it is written a moment after what it tells of. Raises TimeoutError."""
        self._wait(lambda: text in self.maillog(), timeout, f'"{text}" in the log')

    def _wait(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"expected {what} within {timeout} seconds:\n{self.maillog()}")
            time.sleep(0.02)

    def _write_main(self) -> None:
        lines = [f"{name} = {value}\n" for name, value in self._main.items()]
        (self.directory / "etc/main.cf").write_text("".join(lines))

    def _own_settings(self) -> dict[str, str]:
        return {
            "compatibility_level": "3.6",
            "queue_directory": f"{self.directory}/spool",
            "data_directory": f"{self.directory}/data",
            "command_directory": "/usr/sbin",
            "daemon_directory": "/usr/lib/postfix/sbin",
            "maillog_file": f"{self.directory}/maillog",
            "maillog_file_prefixes": str(self.directory),
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "myhostname": "mx.test",
            "mydestination": "",
            "alias_maps": "",
            "alias_database": "",
            "mynetworks": "127.0.0.1",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "relayhost": f"[127.0.0.1]:{self.relay_port}",
            "smtp_dns_support_level": "disabled",
            "smtp_host_lookup": "native",
            "smtpd_peername_lookup": "no",
            "milter_protocol": "6",
            "milter_default_action": "tempfail",
            # Else the headers of a client in mynetworks are completed: From gets a domain, a missing Date is added.
            "local_header_rewrite_clients": "",
        }

    def _postfix(self, verb: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/usr/sbin/postfix", "-c", self.directory / "etc", verb],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
