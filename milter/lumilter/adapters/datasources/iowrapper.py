"""The contents of a file, or of whatever has a URI, as one row of one column.

The law: file names are read here, URIs by whoever the service was given for it.

Source: manual, "ds_core" (I/O Wrapper).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from lumilter.adapters.datasources.contract import Answer, Cut, DatasourceError, Options, Request
from lumilter.adapters.datasources.files import located, piece, read, refuse_execute
from lumilter.adapters.datasources.placeholders import filled
from lumilter.errors import LumilterError

Opener = Callable[[str, float, int], bytes]
"""The bytes behind a URI: (uri, deadline, most bytes). Raises LumilterError."""
_URI = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]*://")
_INNER = re.compile(r"(?i)(?:persist:(?://)?)*(https?:|file:)?")


class IoDriver:
    """See contract.Driver. place: the URI without "iowrapper:"."""

    def __init__(self, place: str, options: Options, opener: Opener | None = None) -> None:
        self._place, self._options, self._opener = place, options, opener

    def ask(self, request: Request, until: float, cut: Cut) -> Answer:
        """See contract.Driver."""
        refuse_execute(request, "an I/O wrapper")
        text = request.text.strip() or self._place
        if _URI.match(text):
            raw = self._fetched(filled(text, request.params, _escaping(text)), until)
        else:
            path, _ = located(Request(text.partition("?")[0], request.params), "")
            raw = read(path, self._options)
        rows = self._options.rows()
        rows.add((self._options.decoded(raw),))
        return rows.answer()

    def _fetched(self, uri: str, until: float) -> bytes:
        if self._opener is None:
            raise DatasourceError("a server is not asked here; --live does")
        try:
            return self._opener(uri, until, self._options.max_size)
        except LumilterError as error:
            raise DatasourceError(self._options.clean(error)) from None

    def close(self) -> None:
        """See contract.Driver."""


def _escaping(uri: str) -> Callable[[str], str]:
    """How a parameter is written there. persist: may name a file, whose name no parameter must lead out of."""
    match = _INNER.match(uri)
    scheme = (match[1] or "").lower() if match else ""
    if scheme.startswith("http"):
        return _quoted
    return (lambda value: _quoted(piece(value))) if scheme == "file:" else piece


def _quoted(value: str) -> str:
    return quote(value, safe="", errors="surrogateescape")
