"""Private keys: read once, kept for as long as the scripts' generation lives.

The law: nothing of a key is in an error, a repr or a log. A file that everybody may read, or that others may write, is
refused: whoever has the key can sign as the domain.
"""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import os
import re
import stat
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from lumilter.adapters.signatures.errors import KeyUnreadable, SignatureError

MAX_FILE = 65_536
MAX_KEYS = 2048
"""How many are kept (the module's keycache_size)."""
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
"""What may stand for %{d} and %{s} in a path: no slash, no two dots."""


@dataclass(frozen=True, slots=True, eq=False)
class PrivateKey:
    """kind: "rsa" or "ed25519"."""

    kind: str
    key: Any = field(repr=False)

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """The signature of that data. algorithm: "sha1" or "sha256". Raises SignatureError."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        if self.kind == "ed25519":
            return bytes(self.key.sign(hashlib.sha256(data).digest()))
        chosen = hashes.SHA1() if algorithm == "sha1" else hashes.SHA256()
        try:
            return bytes(self.key.sign(data, padding.PKCS1v15(), chosen))
        except ValueError:
            raise SignatureError("the private key is too small") from None


class KeyRing:
    """Keys by file or by the text that a script gave. Any thread; two may read the same file at the same time."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, PrivateKey] = OrderedDict()

    def of_file(self, path: str) -> PrivateKey:
        """The key in a PEM file. Raises KeyUnreadable."""
        found = self._keys.get(path)
        if found is None:
            found = self._keep(path, _parsed(_read(path), path))
        return found

    def of_buffer(self, text: str) -> PrivateKey:
        """A key that a script has: PEM, or its base64 without BEGIN and END. Raises KeyUnreadable."""
        name = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        found = self._keys.get(name)
        if found is None:
            found = self._keep(name, _parsed(text.encode("utf-8", "surrogateescape"), "keybuf"))
        return found

    def _keep(self, name: str, key: PrivateKey) -> PrivateKey:
        self._keys[name] = key
        while len(self._keys) > MAX_KEYS:
            self._keys.popitem(last=False)
        return key


def path_of(template: str, domain: str, selector: str) -> str:
    """A key's path, %{d} and %{s} replaced. Raises KeyUnreadable for a domain or selector that can't be in a path."""
    path = template
    for macro, value in (("%{d}", domain.lower()), ("%{s}", selector.lower() if "%{s}" in template else "")):
        if macro in path:
            if not _NAME.fullmatch(value):
                raise KeyUnreadable(f"{template}: {value[:80]!r} can't be part of a path", missing=True)
            path = path.replace(macro, value)
    return path


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        gone = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
        raise KeyUnreadable(f"{path[:200]}: {error.strerror}", missing=gone) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise KeyUnreadable(f"{path}: not a file")
        if found.st_mode & 0o027:
            raise KeyUnreadable(
                f"{path}: a private key with mode {found.st_mode & 0o777:04o}; others may not have any access to it, "
                "its group may only read it (chmod 0640)"
            )
        return os.read(descriptor, MAX_FILE)
    finally:
        os.close(descriptor)


def _parsed(text: bytes, source: str) -> PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    try:
        if b"-----BEGIN" in text:
            key = serialization.load_pem_private_key(text, None)
        else:
            data = base64.b64decode(b"".join(text.split()), validate=True)
            if len(data) == 32:  # as dkimpy keeps its Ed25519 keys
                return PrivateKey("ed25519", Ed25519PrivateKey.from_private_bytes(data))
            key = serialization.load_der_private_key(data, None)
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm):
        raise KeyUnreadable(f"{source}: no private key without a passphrase, in PEM form") from None
    if isinstance(key, RSAPrivateKey):
        return PrivateKey("rsa", key)
    if isinstance(key, Ed25519PrivateKey):
        return PrivateKey("ed25519", key)
    raise KeyUnreadable(f"{source}: neither an RSA nor an Ed25519 key")
