"""DNS answers from a file, so that a policy can be tried without the network and gives the same result every time.

The law: nothing is asked of anyone. What the fixtures don't have is an error that says so, never "does not exist".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dns.name

from lumilter.adapters.dns_names import TYPES, record_type
from lumilter.adapters.dns_question import question
from lumilter.errors import ConfigError, LookupFailed

_Answer = list[tuple[int | None, str]] | str


class FixtureResolver:
    """Answers from fixtures: a mapping, or the path of a JSON file that holds one.

    {"example.com": {"A": ["192.0.2.1"], "MX": [[10, "mx.example.com"]], "TXT": "SERVFAIL"}, "gone.test": "NXDOMAIN"}: a
    list of records, or the word that the lookup fails with ("NODATA": there are none), for one type or for all. PTR
    records may stand under the IP address. Raises ConfigError for anything else.
    """

    def __init__(self, fixtures: Path | str | Mapping[str, Any]) -> None:
        self._file = "" if isinstance(fixtures, Mapping) else str(fixtures)
        given = fixtures if isinstance(fixtures, Mapping) else self._read(Path(fixtures))
        self._names: dict[dns.name.Name, dict[str, _Answer] | str] = {}
        for name, answers in given.items():
            try:
                key = question(name, "PTR")
            except LookupFailed:
                raise self._wrong(f"{name!r} is not a domain name") from None
            self._names[key] = answers if isinstance(answers, str) else self._answers(name, answers)

    def lookup(
        self, name: str, rtype: str = "A", *, server: str | None = None, deadline: float
    ) -> list[tuple[int | None, str]]:
        """See lumilter.adapters.dns.Lookup; server and deadline make no difference."""
        wanted = record_type(rtype)
        answers = self._names.get(question(name, wanted), {})
        answer = answers if isinstance(answers, str) else answers.get(wanted)
        if answer is None:
            raise LookupFailed(
                f"no fixture for {name} {wanted}: add it to {self._file or '--fixtures FILE'}, or use --live"
            )
        if isinstance(answer, str):
            raise LookupFailed(answer)
        return list(answer)

    def _read(self, path: Path) -> Mapping[str, Any]:
        try:
            given = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise self._wrong(error.strerror or str(error)) from None
        except (ValueError, RecursionError) as error:
            raise self._wrong(f"not JSON: {error}") from None
        if not isinstance(given, dict):
            raise self._wrong('expected {"name": {"TYPE": [records]}}')
        return given

    def _answers(self, name: str, answers: object) -> dict[str, _Answer]:
        if not isinstance(answers, dict) or not {str(rtype).upper() for rtype in answers} <= TYPES:
            raise self._wrong(
                f'{name}: expected an error such as "NXDOMAIN", or records under {", ".join(sorted(TYPES))}'
            )
        return {rtype.upper(): self._answer(name, rtype.upper(), answer) for rtype, answer in answers.items()}

    def _answer(self, name: str, rtype: str, answer: object) -> _Answer:
        if isinstance(answer, str):
            return answer
        if isinstance(answer, list) and answer:
            match rtype, answer:
                case "MX", _ if all(_is_pair(record) for record in answer):
                    return sorted(((record[0], _text(rtype, record[1])) for record in answer), key=lambda each: each[0])
                case _, _ if rtype != "MX" and all(isinstance(record, str) for record in answer):
                    return [(None, _text(rtype, record)) for record in answer]
        form = '[[10, "mx.example.com"]]' if rtype == "MX" else '["a record"]'
        raise self._wrong(f'{name} {rtype}: expected {form} or an error such as "NODATA"')

    def _wrong(self, message: str) -> ConfigError:
        return ConfigError(message, self._file or "fixtures")


def _text(rtype: str, record: str) -> str:
    """Names are without the final dot, as a resolver gives them."""
    return record.removesuffix(".") or record if rtype in ("MX", "NS", "PTR") else record


def _is_pair(record: object) -> bool:
    match record:
        case [int() as preference, str()]:
            return 0 <= preference <= 65535
    return False
