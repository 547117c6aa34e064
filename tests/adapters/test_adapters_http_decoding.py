"""adapters.http_decoding: gzip and deflate, in pieces, broken and as bombs."""

from __future__ import annotations

import gzip
import zlib

import pytest

from lumilter.adapters.http_decoding import Decoder
from lumilter.adapters.http_request import WebError

TEXT = b"some text, " * 1000
RAW = zlib.compressobj(wbits=-15)


@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [
        ("", TEXT), ("identity", TEXT), ("gzip", gzip.compress(TEXT)), (" X-GZIP ", gzip.compress(TEXT)),
        ("deflate", zlib.compress(TEXT)), ("deflate", RAW.compress(TEXT) + RAW.flush()),
    ],
    ids=["none", "identity", "gzip", "x-gzip", "deflate", "raw deflate"],
)  # fmt: skip
@pytest.mark.parametrize("size", [2, 10, 100_000])
def test_pieces(encoding: str, encoded: bytes, size: int) -> None:
    decoder = Decoder(encoding, len(TEXT))
    pieces = [piece for at in range(0, len(encoded), size) for piece in decoder.pieces(encoded[at : at + size])]
    assert b"".join(pieces) == TEXT
    assert all(pieces)


def test_a_bomb() -> None:
    decoder, size = Decoder("gzip", 1_000_000), 0
    with pytest.raises(WebError, match="larger than 1000000 bytes"):
        for piece in decoder.pieces(gzip.compress(bytes(100_000_000))):
            assert len(piece) <= 65536
            size += len(piece)
    assert size <= 1_000_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_garbage(encoding: str) -> None:
    with pytest.raises(WebError, match="can't be decoded"):
        list(Decoder(encoding, 1000).pieces(b"\xff\xff garbage"))


def test_other_encodings() -> None:
    with pytest.raises(WebError, match="'br'"):
        Decoder("br", 1000)
