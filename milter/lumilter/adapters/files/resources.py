"""From a name or URI to what it stands for: a path, file:, http:, https:, jlog:, persist:, pipe:, syslog:.

The law: a name without a scheme that is known here is a path, unless it has "://" in it.

Source: manual, pages ref-msys-readfile, ref-msys-core-io-wrapper-open, modules/jlog (jlog://PATH=>SUBSCRIBER, and
cluster:, which is the same; its example writes "jlog://var/log/..." for /var/log), and "Configuring logs" of a cluster
(PATH?subscribers=NAME,NAME).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes
from weakref import WeakSet

from lumilter.adapters.files.contract import FileError, Limits, Stream
from lumilter.adapters.files.copies import Copies
from lumilter.adapters.files.jlog import UNREADABLE, JlogWriter
from lumilter.adapters.files.local import LocalFile, read_file
from lumilter.adapters.files.persist import Kept
from lumilter.adapters.files.pipe import PipeWriter
from lumilter.adapters.files.syslog import SyslogSettings, SyslogWriter
from lumilter.adapters.http import Web
from lumilter.adapters.http_request import Request, checked_url
from lumilter.errors import LookupFailed

_SCHEME = re.compile(r"(?i)(file|https?|jlog|cluster|persist|pipe|syslog):(.*)", re.DOTALL)
_KNOWN = "file:, http:, https:, jlog:, persist:, pipe: and syslog:"
_OTHER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
MODE = 0o640
"""Of files that are made without one."""
_CROWD = 100
"""Open files from which on it is worth while to look for forgotten ones."""


@dataclass(frozen=True, slots=True)
class Settings:
    """limits: of files. persist: the directory of persist:, "" is none. programs: pipe: may start some."""

    limits: Limits = field(default_factory=Limits)
    persist: str = ""
    programs: bool = False
    syslog: SyslogSettings = field(default_factory=SyslogSettings)


class Files:
    """Opens and reads things. web: makes the requests for http: and https:. offline: nothing is changed or started."""

    def __init__(self, settings: Settings | None = None, offline: bool = False) -> None:
        self.settings = settings or Settings()
        self._copies = Copies() if offline else None
        self._kept = Kept(self.settings.persist, offline)
        self._open: WeakSet[LocalFile | PipeWriter | SyslogWriter] = WeakSet()
        self._crowd = _CROWD

    def read(self, name: str, web: Web, deadline: float, most: int | None = None) -> bytes:
        """The whole of it. most: bytes of an answer by HTTP, where not as many are allowed as [http] has it.

        Raises FileError.
        """
        scheme, rest = split(name)
        if scheme in ("http", "https"):
            return _fetched(name, web, deadline, most)
        if scheme == "jlog":
            raise FileError(f"{name}: {UNREADABLE}")
        if scheme in ("pipe", "syslog"):
            raise FileError(f"{scheme}: can only be written")
        if scheme == "persist":
            inner = rest.removeprefix("//")
            if split(inner)[0] == "persist":
                raise FileError("persist: names another persist:")
            return self._kept.read(inner, lambda: self.read(inner, web, deadline, most))
        return read_file(self._copies.to_read(rest) if self._copies else rest, self.settings.limits, deadline)

    def open(self, name: str, flags: int, mode: int | None, web: Web, deadline: float) -> Stream:
        """Open it. flags: of open(2); mode: permissions of what is made. Raises FileError."""
        scheme, rest = split(name)
        mode = MODE if mode is None else mode
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        if scheme in ("http", "https", "persist"):
            if writes:
                raise FileError(f"{scheme}: can only be read")
            return Fetched(self.read(name, web, deadline))
        if scheme in ("jlog", "pipe", "syslog"):
            if not writes:
                raise FileError(f"{name}: {UNREADABLE}" if scheme == "jlog" else f"{scheme}: can only be written")
            if self._copies:
                raise FileError(f"{name}: nothing is written to a {scheme} here; --live does")
        if scheme == "jlog":
            path, subscribers = _subscribed(rest)
            return JlogWriter("/" + path.lstrip("/"), subscribers, bool(flags & os.O_CREAT), mode)
        opened = self._opened(scheme, rest, flags, mode)
        self._open.add(opened)
        return opened

    def _opened(self, scheme: str, rest: str, flags: int, mode: int) -> LocalFile | PipeWriter | SyslogWriter:
        """What has a descriptor for as long as it is open."""
        if scheme == "syslog":
            return SyslogWriter(_parameters(rest)[1], self.settings.syslog)
        if scheme == "pipe":
            if not self.settings.programs:
                raise FileError('pipe: is switched off; add "io.popen" to lua.allow in the configuration')
            program, parameters = _parameters(rest)
            return PipeWriter("/" + program.lstrip("/"), parameters)
        path = self._copies.to_open(rest, flags) if self._copies else rest
        return LocalFile(path, flags, mode, self.settings.limits)

    def is_crowded(self) -> bool:
        """Whether it is time to close what scripts have forgotten."""
        return len(self._open) >= self._crowd

    def settle(self) -> None:
        """What was forgotten is closed: the rest is in use."""
        self._crowd = max(_CROWD, 2 * len(self._open))

    def close(self) -> None:
        """Close all files that are still open."""
        for file in list(self._open):
            file.close()
        if self._copies:
            self._copies.close()


def split(name: str) -> tuple[str, str]:
    """Scheme and the rest; a path has the scheme "file". Raises FileError."""
    found = _SCHEME.fullmatch(name)
    if found is None:
        other = _OTHER.match(name)
        if other:
            raise FileError(f"{other[1]}: is no scheme that can be opened: {_KNOWN} are")
        return "file", name
    scheme = found[1].lower()
    if scheme == "cluster":
        scheme = "jlog"
    if scheme != "file":
        return scheme, found[2]
    path = found[2]
    if path.startswith("//"):
        host, slash, path = path[2:].partition("/")
        path = slash + path
        if host not in ("", "localhost"):
            raise FileError(f"file://{host}: only files of this machine can be opened")
    return scheme, _unquoted(path)


def _subscribed(rest: str) -> tuple[str, list[str]]:
    """Of jlog:, the path and who reads there: PATH=>NAME, or PATH?subscribers=NAME,NAME."""
    path, arrow, name = rest.partition("=>")
    if arrow:
        return path, [name] if name else []
    path, _, names = rest.partition("?subscribers=")
    return path, [each for each in names.split(",") if each]


def _parameters(rest: str) -> tuple[str, dict[str, str]]:
    """The place that a URI names, and its parameters."""
    place, _, query = rest.removeprefix("//").partition("?")
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return _unquoted(place), {name: _unquoted(value) for name, _, value in pairs}


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _fetched(url: str, web: Web, deadline: float, most: int | None) -> bytes:
    try:
        answer = web.fetch(Request("GET", checked_url(url), most=most), deadline)
    except LookupFailed as error:
        raise FileError(str(error)) from None
    if not 200 <= answer.status <= 299:
        raise FileError(f"{answer.status} {answer.reason}".rstrip())
    return answer.body


class Fetched:
    """See Stream: an answer, to be read."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._at = 0

    def _rest(self) -> bytes:
        if self._body is None:
            raise FileError("it is closed")
        return self._body

    def read(self, size: int, deadline: float) -> bytes:
        """See Stream."""
        taken = self._rest()[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def read_all(self, deadline: float) -> bytes:
        """See Stream."""
        return self.read(len(self._rest()), deadline)

    def read_line(self, deadline: float) -> bytes | None:
        """See Stream."""
        body = self._rest()
        if self._at >= len(body):
            return None
        end = body.find(b"\n", self._at)
        line = body[self._at : end if end >= 0 else len(body)]
        self._at += len(line) + (end >= 0)
        return line

    def write(self, data: bytes, deadline: float) -> int:
        """Never."""
        raise FileError("it can only be read")

    def seek(self, offset: int, whence: int) -> int:
        """See Stream."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._rest())}[whence]
        if start + offset < 0:
            raise FileError("there is nothing before the beginning")
        self._at = start + offset
        return self._at

    def close(self) -> None:
        """See Stream."""
        self._body = None
