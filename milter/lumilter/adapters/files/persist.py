"""The last copy of what could be read, for when it can't be: persist://http://example.com/list.

The law: what persist: names is asked first, each time; the copy is given only where that fails. A copy is replaced at
once, and nobody else may read it.

Source: manual, modules/persist_io (a directory of 0700, files of 0600).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from lumilter.adapters.files.contract import FileError, reason

log = logging.getLogger("lumilter.files")


class Kept:
    """directory: of the copies, made when the first one is; "" is none. offline: no copy is made."""

    def __init__(self, directory: str = "", offline: bool = False) -> None:
        self._directory, self._offline = directory, offline

    def read(self, name: str, fetch: Callable[[], bytes]) -> bytes:
        """What fetch gives, or else the copy of what it gave last under that name. Raises FileError."""
        if not self._directory:
            raise FileError(f"persist:{_shown(name)}: [files] persist names no directory for copies")
        copy = Path(self._directory) / hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        try:
            content = fetch()
        except FileError as error:
            try:
                content = copy.read_bytes()
            except OSError:
                raise error from None
            log.warning("persist:%s: %s; the copy is used", _shown(name), error)
            return content
        if not self._offline:
            self._keep(copy, content)
        return content

    def _keep(self, copy: Path, content: bytes) -> None:
        """Replace the copy; where it can't be replaced, the log says so."""
        new = copy.with_name(f".new-{secrets.token_hex(8)}")
        try:
            copy.parent.mkdir(0o700, parents=True, exist_ok=True)
            if copy.is_file() and copy.read_bytes() == content:
                return
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(content)
            new.replace(copy)
        except OSError as error:
            log.warning("%s: no copy could be kept: %s", copy.parent, reason(error))
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)


def _shown(name: str) -> str:
    """A name without what a URI may hold of secrets: user and password, and the query."""
    return re.sub(r"(?<=//)[^/?#]*@|[?#].*", "", name, flags=re.DOTALL)
