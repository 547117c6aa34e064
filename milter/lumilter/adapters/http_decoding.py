"""Bodies that came compressed, taken apart piece by piece.

The law: no piece and no sum of pieces is larger than allowed, however small what came is.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from lumilter.adapters.http_request import WebError

_PIECE = 64 << 10
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class Decoder:
    """encoding: of the Content-Encoding header; most: bytes that may come out. Raises WebError for other encodings."""

    def __init__(self, encoding: str, most: int) -> None:
        wanted = encoding.strip().lower()
        if wanted not in ("", "identity", *_WBITS):
            raise WebError("encoding", f"the answer is encoded as {encoding[:40]!r}, which can't be decoded")
        self._most, self._size, self._deflate = most, 0, wanted == "deflate"
        self._stream = zlib.decompressobj(_WBITS[wanted]) if wanted in _WBITS else None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What comes out of more bytes. Raises WebError."""
        if self._stream is None:
            yield from self._counted(data)
            return
        try:
            while data:
                yield from self._counted(self._stream.decompress(data, _PIECE))
                data = self._stream.unconsumed_tail
        except zlib.error as error:
            if not self._deflate or self._size:
                raise WebError("encoding", f"the answer can't be decoded: {error}") from None
            self._deflate, self._stream = False, zlib.decompressobj(-15)  # without the header, as many servers send it
            yield from self.pieces(data)

    def _counted(self, piece: bytes) -> Iterator[bytes]:
        self._size += len(piece)
        if self._size > self._most:
            raise WebError("size", f"the answer is larger than {self._most} bytes")
        if piece:
            yield piece
