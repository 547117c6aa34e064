"""Files of a datasource's queries: `path?rest`, with `$name` placeholders.

The law: a file is read anew for each query that the cache does not answer, and never beyond its limit. A parameter
can't leave the directory that the query names: its "/" is not taken.

Source: manual, "ds_core" (CSV, CDB, I/O Wrapper).
"""

from __future__ import annotations

import os
import stat
from urllib.parse import unquote

from lumilter.adapters.datasources.contract import DatasourceError, Options, Request, Value
from lumilter.adapters.datasources.placeholders import as_text, filled


def refuse_execute(request: Request, what: str) -> None:
    """Files are only read."""
    if request.execute:
        raise DatasourceError(f"{what} can only be asked, not changed")


def located(request: Request, place: str) -> tuple[str, str]:
    """Path and what follows its "?" in a query; what of it is missing is the URI's. place: the URI without scheme."""
    path, mark, rest = request.text.strip().partition("?")
    own_path, _, own_rest = place.partition("?")
    if not mark and own_path and not path.startswith("/"):  # a query of a file that the URI names
        path, rest = "", request.text.strip()
    path = filled(path or own_path, request.params, piece).removeprefix("file://")
    if not path:
        raise DatasourceError("the query names no file, nor does the URI")
    return path, rest or own_rest


def read(path: str, options: Options) -> bytes:
    """The bytes of a file. Raises DatasourceError."""
    try:
        with open(path, "rb", opener=_open) as file:
            raw = file.read(options.max_size + 1)
    except OSError as error:
        raise DatasourceError(options.clean(f"{path} can't be read: {error.strerror}")) from None
    except ValueError as error:  # a NUL in the name
        raise DatasourceError(f"no file has that name: {error}") from None
    if len(raw) > options.max_size:
        raise DatasourceError(f"{path} is larger than max_size ({options.max_size} bytes)")
    return raw


def arguments(text: str, params: dict[int | str, Value]) -> dict[str, str]:
    """`name=value&name=value`."""
    pairs = (pair.partition("=") for pair in filled(text, params, lambda value: value).split("&") if pair)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def piece(value: str) -> str:
    """A parameter as a part of a file's name: it leads nowhere else. Raises DatasourceError."""
    if "/" in value or value in (".", ".."):
        raise DatasourceError("a parameter of a file's name has a slash in it")
    return value


def _open(path: str, flags: int) -> int:
    """A pipe or a device would let everybody wait."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no regular file")
    return descriptor


def key_of(text: str, request: Request) -> bytes:
    """A key with its placeholders filled in."""
    return filled(text, request.params, as_text).encode("utf-8", "surrogateescape")
