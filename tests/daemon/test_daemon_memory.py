"""What a worker with a simple policy takes: no library that its policy does not use, and less than 40 MB."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from support.daemon import ENVIRONMENT, Daemon, write
from support.milter_client import MilterClient

POLICY = """
function mod:validate_data(msg, ac, vctx)
  local from, to, subject = msg:header("From")[1], msg:header("To")[1], msg:header("Subject")[1]
  msg:header("X-Policy", from and to and string.find(subject, "[Ff]ree%s+money") and "money" or "none")
end
"""
MESSAGES = 500
MOST = 40_000_000
"""Bytes of resident memory, shared libraries included."""
HEAVY = {
    "dns",
    "sqlalchemy",
    "httpx",
    "lxml",
    "smtplib",
    "ssl",
    "redis",
    "ldap3",
    "dkim",
    "spf",
    "authres",
    "pyclamd",
    "psycopg",
    "pymysql",
}
"""What scripts and configurations ask for by using it. LMDB is no such thing: state is opened at the start, and takes
0.3 MB."""


@pytest.mark.parametrize("wire", ["python", "libmilter"])
def test_a_simple_policy_takes_little(tmp_path: Path, wire: str) -> None:
    config = write(tmp_path / "etc", tmp_path / "m.sock", [POLICY], f'wire = "{wire}"\n')
    environment = {**ENVIRONMENT, "PYTHONPROFILEIMPORTTIME": "1"}  # every import is a line on standard error
    headers = tuple((f"X-{n}".encode(), b" " + b"x" * 50) for n in range(10))
    with Daemon(config, tmp_path / "log", environment=environment) as daemon:
        with MilterClient(str(tmp_path / "m.sock")) as mta:
            mta.negotiate()
            mta.connect()
            mta.helo()
            for number in range(MESSAGES):
                subject = b" free money" if number % 2 else b" hello"
                names = (b"From", b" a@b.example"), (b"To", b" c@d.example"), (b"Subject", subject)
                assert mta.message((*names, *headers), b"x" * 70 + b"\r\n" * 10_000).edits
        (worker,) = daemon.workers
        taken = int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        imported = set(re.findall(r"^import time: .*\| +([\w.]+)$", daemon.log, re.MULTILINE))
    assert {"lupa.luajit21", "lumilter.daemon.worker"} <= imported
    assert not HEAVY & {name.partition(".")[0] for name in imported}
    assert taken < MOST
