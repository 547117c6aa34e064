"""One scanner's answer in the words of another engine: a score from 0 to 100, spam or not, a line for a header.

The law: what is spam to the scanner is spam to every function, whatever its numbers are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lumilter.adapters.scanners.contract import Result, Verdict

MIDDLE = 50
"""The score that separates spam from the rest where the configuration names none."""

_MARK = "lumilter=1"
_MOST_RULES = 400
"""Characters of rules in a line."""
_ODD = re.compile(r"[^!-:<-~]+")


def is_spam(result: Result) -> bool:
    """Whether mail like this is unwanted: spam, or a virus."""
    return result.verdict in (Verdict.SPAM, Verdict.INFECTED)


def score_of(result: Result, minimum: int) -> int:
    """From 0 to 100; above `minimum` (or MIDDLE) where it is spam, at most that where it is not."""
    middle = minimum or MIDDLE
    if result.verdict is Verdict.INFECTED:
        return 100
    if result.score is not None and result.required is not None and result.required > 0:
        share = result.score / result.required
        found = share * middle if share <= 1 else middle + (share - 1) * (100 - middle)
    else:
        found = {Verdict.SPAM: 100.0, Verdict.SUSPECT: middle / 2, Verdict.BULK: middle / 2}.get(result.verdict, 0.0)
    whole = round(min(100.0, max(0.0, found)))
    return min(100, max(whole, middle + 1)) if is_spam(result) else min(whole, middle)


def line_of(result: Result, score: int) -> str:
    """What a header can carry, and `read` reads again."""
    rules = ",".join(_ODD.sub("", rule) for rule in result.rules)[:_MOST_RULES]
    engine = _ODD.sub("", result.scanner)
    return f"{_MARK}; engine={engine}; verdict={result.verdict}; score={score}; rules={rules}"


def read(line: str) -> Mapping[str, str] | None:
    """What `line_of` wrote: engine, verdict, score, rules; None for any other text."""
    mark, *pairs = (part.strip() for part in line.strip().split(";"))
    found = {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
    good = (
        mark == _MARK
        and set(found) == {"engine", "verdict", "score", "rules"}
        and found["verdict"] in set(Verdict)
        and re.fullmatch("[0-9]{1,3}", found["score"])
        and int(found["score"]) <= 100
    )
    return found if good else None
