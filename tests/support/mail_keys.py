"""Keys for signatures on mail, made when a test first wants them, and the DNS records that publish them.

The law: no private key is kept in a file of the project.
"""

from __future__ import annotations

import base64
import subprocess
from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa


@dataclass(frozen=True)
class MailKey:
    """pem: the private key. public: the p= of its record. kind: its k=."""

    pem: bytes
    public: str
    kind: str

    def record(self, extra: str = "") -> str:
        """The TXT record. extra: more tags, such as "t=y; "."""
        return f"v=DKIM1; k={self.kind}; {extra}p={self.public}"

    @property
    def buffer(self) -> str:
        """As Momentum's keybuf has it: one line, without BEGIN and END."""
        return "".join(line for line in self.pem.decode().splitlines() if not line.startswith("-"))


@cache
def rsa_key(bits: int = 1024, number: int = 0) -> MailKey:
    """An RSA key; another one for each number. OpenSSL's command makes small ones too."""
    if bits < 1024:
        pem = subprocess.run(["openssl", "genrsa", "-traditional", str(bits)], capture_output=True, check=True).stdout
        der = subprocess.run(
            ["openssl", "rsa", "-pubout", "-outform", "DER"], input=pem, capture_output=True, check=True
        )
        return MailKey(pem, base64.b64encode(der.stdout).decode(), "rsa")
    key = rsa.generate_private_key(65537, bits)
    public = key.public_key().public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
    pem = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.TraditionalOpenSSL, s.NoEncryption())
    return MailKey(pem, base64.b64encode(public).decode(), "rsa")


@cache
def ed25519_key() -> MailKey:
    """An Ed25519 key."""
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(s.Encoding.Raw, s.PublicFormat.Raw)
    pem = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
    return MailKey(pem, base64.b64encode(public).decode(), "ed25519")
