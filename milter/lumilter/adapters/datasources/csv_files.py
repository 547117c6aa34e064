"""CSV files: every row, its columns by position from 1.

    /path/to/file.csv                   all columns
    /path/to/file.csv?cols=2            the first two
    /path/to/file.csv?header=1          columns named as the first row says
    /path/to/file.csv?delimiter=%3B     another separator

The law: as forgiving as files in use are: empty lines are skipped, rows may be of different lengths.

Source: manual, "ds_core" (CSV; cols in the 3.x manual); RFC 4180. header and delimiter are ours.
"""

from __future__ import annotations

import csv
import io

from lumilter.adapters.datasources.contract import Answer, Cut, DatasourceError, Options, Request
from lumilter.adapters.datasources.files import arguments, located, read, refuse_execute


class CsvDriver:
    """See contract.Driver. place: the URI without "csv:"."""

    def __init__(self, place: str, options: Options) -> None:
        self._place, self._options = place, options

    def ask(self, request: Request, until: float, cut: Cut) -> Answer:
        """See contract.Driver."""
        refuse_execute(request, "a CSV file")
        path, rest = located(request, self._place)
        wanted = arguments(rest, dict(request.params))
        if unknown := set(wanted) - {"cols", "header", "delimiter"}:
            raise DatasourceError(f'a CSV file knows cols, header and delimiter, not "{min(unknown)[:40]}"')
        columns = _number(wanted.get("cols"))
        delimiter = wanted.get("delimiter", ",")
        if len(delimiter) != 1:
            raise DatasourceError("the delimiter of a CSV file is one character")
        text = self._options.decoded(read(path, self._options).removeprefix(b"\xef\xbb\xbf")).replace("\0", "")
        rows = self._options.rows()
        names: tuple[str, ...] | None = None
        try:
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
                if cut.fired or rows.full:
                    break
                if not row:
                    continue
                if names is None and wanted.get("header") in ("1", "true", "yes"):
                    names = tuple(row[:columns])
                else:
                    rows.add(tuple(row[:columns]))
        except (csv.Error, ValueError) as error:
            raise DatasourceError(f"{path} is no CSV file: {error}") from None
        return rows.answer(names)

    def close(self) -> None:
        """See contract.Driver."""


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 6 or int(text) == 0:
        raise DatasourceError("cols is a number of columns, 1 or more")
    return int(text)
