"""What goes wrong when a message is to be signed.

The law: a text names files, domains and options, never a key or anything in one.
"""

from __future__ import annotations

from lumilter.errors import LumilterError


class SignatureError(LumilterError):
    """A message can't be signed as it is asked for."""


class KeyUnreadable(SignatureError):
    """A private key is not there, is none, or can be read by anybody. missing: it is not there."""

    def __init__(self, message: str, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing
