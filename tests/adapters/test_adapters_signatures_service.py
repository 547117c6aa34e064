"""What signatures cost where nobody uses them, and what messages for many recipients share."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lumilter.adapters.signatures import canonical
from lumilter.adapters.signatures.service import Signatures
from support.mail_keys import rsa_key

HEAVY = ("dkim", "cryptography", "spf", "authres", "publicsuffixlist")


def test_no_library_is_loaded_before_it_is_used() -> None:
    program = f"import sys, lumilter.api, lumilter.daemon.setup; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_body_that_many_share_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    relaxed = canonical.BODIES["relaxed"]
    monkeypatch.setitem(canonical.BODIES, "relaxed", lambda body: read.append(bytes(body)) or relaxed(body))  # type: ignore[func-returns-value]
    signatures = Signatures()
    options = {"keybuf": rsa_key().buffer, "selector": "s", "body_canon": "relaxed"}
    seal = signatures.asked(options, "example.org")
    shared, other = b"the same for all\r\n", b"another one\r\n"
    messages = [([(b"From", b" ann@example.org"), (b"X-To", b" %d" % n)], shared, [seal]) for n in range(50)]
    made = signatures.seal_all([*messages, (messages[0][0], other, [seal]), (messages[0][0], b"", [])])
    assert read == [shared, other]
    assert [len(fields) for fields in made] == [1] * 51 + [0]
