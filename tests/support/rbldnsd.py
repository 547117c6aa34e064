"""Debian's rbldnsd on loopback, which serves files of a directory that it is given.

The law: own port, ended by its process.
"""

from __future__ import annotations

import ipaddress
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from support.ports import free_port


class Rbldnsd:
    """A running one; zones are named like their files."""

    def __init__(self, port: int) -> None:
        self.port = port

    def answers(self, zone: str, ip: str, kind: str) -> list[str] | None:
        """Address records or texts for an address; None if it is not listed."""
        reverse = ipaddress.ip_address(ip).reverse_pointer.rsplit(".", 2)[0]
        query = dns.message.make_query(f"{reverse}.{zone}.test", kind)
        answer = dns.query.udp(query, "127.0.0.1", 10, self.port)
        if answer.rcode() == dns.rcode.NXDOMAIN:
            return None
        found = [record for rrset in answer.answer for record in rrset]
        return sorted(
            b"".join(each.strings).decode("utf-8", "surrogateescape") if kind == "TXT" else each.to_text()
            for each in found
        )


@contextmanager
def rbldnsd(directory: Path, zones: Mapping[str, str]) -> Iterator[Rbldnsd]:
    """zones: types of datasets by file of the directory, which the user "nobody" has to be able to read."""
    port = free_port()
    names = [f"{name}.test:{kind}:{name}" for name, kind in zones.items()]
    command = ["rbldnsd", "-n", "-b", f"127.0.0.1/{port}", "-r", str(directory), "-u", "nobody", *names]
    with (directory / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until = time.monotonic() + 30
            while b"started (" not in (directory / "log").read_bytes():
                assert process.poll() is None and time.monotonic() < until, (directory / "log").read_text()
                time.sleep(0.02)
            yield Rbldnsd(port)
        finally:
            process.terminate()
