"""docs/authentication.md: its configuration is one, its scripts load and run, what it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lumilter import config
from lumilter.config.declare import Key, declared
from lumilter.config.sections.authentication import Authentication, Spf
from lumilter.config.sections.signatures import Dkim
from lumilter.services import Services
from support.dns_zone import Zone
from support.mail_keys import rsa_key
from support.policy import policy

PAGE = (Path(__file__).parents[2] / "docs/authentication.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_configuration_is_one(tmp_path: Path) -> None:
    (tmp_path / "policy.lua").touch()
    script = '[[script]]\nname = "policy"\nsource = "policy.lua"\n'
    (tmp_path / "lumilter.toml").write_text("\n".join([*blocks("toml"), script]))
    read = config.load(str(tmp_path / "lumilter.toml"))
    assert read.dkim.selector == "s2026"
    assert read.dkim_domains[0].base_domain == "example.com"
    assert read.spf.enabled
    assert read.authentication.dmarc
    assert read.connection_context("10.1.2.3") == {"can_relay": "true"}


KEYS = ("sign_condition", "on_error", "delay_check", "authserv_id", "unless", "timeout", "dkim", "dmarc", "domainkeys")


@pytest.mark.parametrize("name", KEYS)
def test_the_keys_that_it_names_exist(name: str) -> None:
    assert any(isinstance(declared(table).get(name, ("", None))[1], Key) for table in (Dkim, Spf, Authentication))
    assert re.search(rf"`{name}\b|\] {name}\b|\b{name} =", PAGE)


def test_the_scripts_run(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(rsa_key().pem)
    (tmp_path / "key.pem").chmod(0o600)
    text = "".join(blocks("lua")).replace("/etc/lumilter/dkim/example.com/s2026.key", str(tmp_path / "key.pem"))
    more = "local m = msys.core.ECMESS_CTX_MESS; print(msg:context_get(m, 'arc_cv'), msg:context_get(m, 'arc_seal'))"
    text = text.replace("  })\nend\n", f"  }})\n  {more}\nend\n")
    services = Services(Zone({}), hostname="mx.example.com")
    text = 'require("msys.core"); require("msys.validate.openarc")\n' + text
    with policy(tmp_path, text, services=services) as running:
        outcomes = running.send()
    assert not running.errors
    assert running.printed == ["none\tok"]
    names = [edit.name for edit in outcomes[-1].edits]  # type: ignore[union-attr]
    assert names == [
        b"Authentication-Results", b"ARC-Authentication-Results", b"ARC-Message-Signature", b"ARC-Seal",
    ]  # fmt: skip
