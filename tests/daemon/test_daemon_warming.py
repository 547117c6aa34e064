"""Libraries are imported before MTAs are served, where the configuration or a script names what needs them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import lumilter.api  # noqa: F401 -- fills the registry
from lumilter.daemon import warming
from lumilter.registry import FUNCTIONS
from support.daemon import ENVIRONMENT, READY, Daemon, write
from support.mail_keys import rsa_key
from support.milter_client import MilterClient

NOBODY = '[dns]\nservers = ["127.0.0.1:1"]\ntimeout = 0.2\n'
CASES = [
    (
        "sqlalchemy",
        '[[datasource]]\nname = "d"\nuri = "sqlite:{}/d.db"\n',
        'function mod:validate_connect() msys.db.query("d", "select 1") end',
    ),
    (
        "ldap3",
        '[[datasource]]\nname = "d"\nuri = "ldap://127.0.0.1:1"\n',
        'function mod:validate_connect() pcall(msys.db.query, "d", "ldap:///dc=example") end',
    ),
    ("lxml", "", 'function mod:validate_connect() xml.parsexml("<a/>") end'),
    ("dns", NOBODY, 'function mod:validate_connect() msys.dnsLookup("example.com", "MX") end'),
    (
        "httpx",
        "",
        'function mod:validate_connect() msys.http.client.new():do_request("GET", "http://127.0.0.1:1/") end',
    ),
    (
        "httpcore",
        "",
        'function mod:validate_connect() local c = curl.new() c:setopt(curl.OPT_URL, "http://127.0.0.1:1/") '
        "c:perform() end",
    ),
    (
        "smtplib",
        '[inject]\nserver = "smtp:inet:1@127.0.0.1"\noutbox = "{}/outbox"\n',
        'function mod:validate_mailfrom() msys.core.ec_message_new():inject("a@b.example", "c@d.example") end',
    ),
    ("cryptography", '[dkim]\nkey = "key.pem"\nselector = "s"\n[[dkim_domain]]\ndomain = "b.example"\n', ""),
    ("dkim", NOBODY + "[authentication]\ndkim = true\ntimeout = 1\n", ""),
    ("dns", NOBODY + "[spf]\nenabled = true\n[authentication]\ntimeout = 1\n", ""),
]
"""Libraries, a configuration and a policy that need each."""
SIGNATURE = (
    b" v=1; a=rsa-sha256; d=b.example; s=s; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=" + b"A" * 344
)


@pytest.mark.parametrize(("library", "config", "policy"), CASES, ids=[case[0] for case in CASES])
def test_nothing_is_imported_while_mtas_are_served(tmp_path: Path, library: str, config: str, policy: str) -> None:
    requires = 'require("xml") require("curl") require("msys.http.client") require("msys.db")\n'
    file = write(tmp_path / "etc", tmp_path / "m.sock", [requires + policy], config.format(tmp_path))
    (tmp_path / "etc/key.pem").write_bytes(rsa_key().pem)
    (tmp_path / "etc/key.pem").chmod(0o600)
    environment = {**ENVIRONMENT, "PYTHONPROFILEIMPORTTIME": "1"}  # every import is a line on standard error
    with Daemon(file, tmp_path / "log", environment=environment) as daemon:
        with MilterClient(str(tmp_path / "m.sock")) as mta:
            mta.negotiate()
            mta.connect()
            mta.helo()
            mta.message(((b"From", b" a@b.example"), (b"DKIM-Signature", SIGNATURE)), b"text\r\n")
        before, _, after = daemon.log.partition(READY)
    assert library in imported(before)
    assert not imported(after) - sys.stdlib_module_names - {"lumilter"}


def test_what_can_not_be_loaded_is_for_its_first_use_to_tell(tmp_path: Path) -> None:
    policy = """
        require("curl")
        function mod:validate_connect()
          local c = curl.new()
          c:setopt(curl.OPT_URL, "https://127.0.0.1:1/")
          local done, why = c:perform()
          print(tostring(why))
        end"""
    file = write(tmp_path / "etc", tmp_path / "m.sock", [policy], '[http]\nca_file = "none.pem"\n')
    with Daemon(file, tmp_path / "log") as daemon:
        with MilterClient(str(tmp_path / "m.sock")) as mta:
            mta.negotiate()
            mta.connect()
        daemon.wait_log("a certificate file can't be used")


def imported(log: str) -> set[str]:
    """Top-level packages."""
    return set(re.findall(r"^import time: .*\| +(\w+)[\w.]*$", log, re.MULTILINE))


def test_the_names_are_functions() -> None:
    for names in (warming.XML, warming.WEB, warming.LOOKUPS, warming.CHECKS, warming.SIGNS):
        assert set(names) <= set(FUNCTIONS)
