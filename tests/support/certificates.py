"""A certificate authority of a test's own, made with openssl.

The law: everything is in a directory that goes away; nothing here is trusted by anybody who does not name it.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


def _openssl(*args: str) -> None:
    subprocess.run(["openssl", *args], check=True, capture_output=True)


@dataclass(frozen=True)
class Authority:
    """file: its certificate. Certificates that it signs are kept, by name."""

    directory: Path

    @property
    def file(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def _key(self) -> Path:
        return self.directory / "ca.key"

    @staticmethod
    def make(directory: Path) -> Authority:
        directory.mkdir(exist_ok=True)
        authority = Authority(directory)
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"),
            *("-subj", "/CN=Test CA", "-keyout", str(authority._key), "-out", str(authority.file)),
        )
        return authority

    def certificate(self, name: str, days: int = 30) -> tuple[Path, Path]:
        """Files with a server's certificate for that name, and its key. days: -1 is one that has expired."""
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        if not certificate.exists():
            request = self.directory / f"{name}.csr"
            extensions = self.directory / f"{name}.ext"
            extensions.write_text(f"subjectAltName=DNS:{name}\n")
            _openssl(
                *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request)),
            )
            _openssl(
                *("x509", "-req", "-in", str(request), "-CA", str(self.file), "-CAkey", str(self._key)),
                *("-CAcreateserial", "-days", str(days), "-extfile", str(extensions), "-out", str(certificate)),
            )
        return certificate, key
