"""SPF (RFC 7208) by pyspf, over our own resolver.

The law: pyspf decides; what it asks goes through the `Lookup`, within one deadline, and whatever it trips over is a
result, not an exception. Its own limits hold: 10 terms that look something up, 2 of them without an answer, 10 names of
an MX.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from typing import Any

from lumilter.adapters.dns_lookup import Lookup
from lumilter.errors import LookupFailed

log = logging.getLogger("lumilter.signatures")

MAX_RECORD = 8192
"""Bytes of a policy; what is longer is not looked at (RFC 7208 3.4 wants 450)."""
MAX_LOCAL, MAX_HELO = 256, 255
"""Characters of a local part and of a HELO that macros expand to: a policy may name them a thousand times. RFC 5321
4.5.3.1 has 64 and 255."""
MAX_EXPLANATION = 1000
"""Characters of a domain's explanation."""
_SCOPED = re.compile(rb"spf2\.0/([a-z,]+)(?= |$)", re.IGNORECASE)
RESULTS = ("pass", "fail", "softfail", "neutral", "none", "temperror", "permerror")


@dataclass(frozen=True, slots=True)
class SpfResult:
    """result: one of RESULTS. explanation: for the client, where the domain gives one. nxdomain: there is no such
    domain.

    identity: "mailfrom", or "helo" for the null sender. domain: the one that was asked. sender: what was judged.
    mechanism: the term that matched. client, helo, receiver: as given. guessed: by the rule for domains without a
    policy.
    """

    result: str
    explanation: str = ""
    nxdomain: bool = False
    identity: str = "mailfrom"
    domain: str = ""
    sender: str = ""
    mechanism: str = ""
    problem: str = ""
    client: str = ""
    helo: str = ""
    receiver: str = ""
    guessed: bool = False


def check(
    client: str,
    sender: str,
    helo: str,
    receiver: str,
    default_rule: str,
    resolver: Lookup,
    deadline: float,
    scope: str = "",
) -> SpfResult:
    """Who may send for the domain of a sender. client: an IP address. default_rule: for a domain without a policy.

    sender: without angle brackets; "" is judged by HELO. scope: "mfrom" or "pra" of Sender ID, whose own policies come
    before those of SPF (RFC 4406 4.4); "" is SPF.
    """
    import spf

    local, at, domain = sender.rpartition("@")
    sender, helo = local[:MAX_LOCAL] + at + domain, helo[:MAX_HELO]
    asked = _query_class()(resolver, deadline, client, sender, helo, receiver)
    asked.scope = scope.encode()
    guessed = False
    try:
        result, _, text = asked.check()
        if result == "none" and default_rule and not asked.nxdomain:
            guessed = True
            asked.void_lookups = 0
            result, _, text = asked.check(spf=f"v=spf1 {default_rule}")
    except (spf.TempError, LookupFailed) as error:
        result, text = "temperror", str(error)
    except Exception as error:  # of a library that reads what anybody may publish
        log.debug("SPF of %r", sender, exc_info=True)
        result, text = "permerror", f"{type(error).__name__}"
    given = result in ("fail", "softfail") and text != spf.EXPLANATIONS.get(result, "")
    return SpfResult(
        result=result if result in RESULTS else "permerror",
        explanation=_printable(text[:MAX_EXPLANATION]) if given else "",
        nxdomain=asked.nxdomain,
        identity=asked.ident,
        domain=_printable(asked.o),
        sender=_printable(asked.s),
        mechanism=_printable(getattr(asked, "mechanism", "") or ""),
        problem=_printable(text) if result in ("permerror", "temperror") else "",
        client=client,
        helo=_printable(helo),
        receiver=receiver,
        guessed=guessed,
    )


def received_spf(found: SpfResult) -> str:
    """The value of Received-SPF (RFC 7208 9.1)."""
    words = {
        "pass": "domain of {domain} designates {client} as permitted sender",
        "fail": "domain of {domain} does not designate {client} as permitted sender",
        "softfail": "domain of {domain} discourages use of {client}",
        "neutral": "{client} is neither permitted nor denied by domain of {domain}",
        "none": "no policy of domain of {domain}",
        "temperror": "policy of domain of {domain} could not be looked up",
        "permerror": "policy of domain of {domain} can't be used",
    }
    text = words[found.result].format(domain=found.domain, client=found.client)
    pairs = {
        "client-ip": found.client, "envelope-from": found.sender, "helo": found.helo, "receiver": found.receiver,
        "identity": found.identity, "mechanism": found.mechanism, "problem": found.problem,
    }  # fmt: skip
    listed = ";\n\t".join(f"{name}={_value(value)}" for name, value in pairs.items() if value)
    return f"{found.result} ({_comment(f'{found.receiver}: {text}')})\n\t{listed}"


_TOKEN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~.")


def _value(text: str) -> str:
    """A dot-atom or a quoted string, of at most 500 characters."""
    text = text[:500]
    if set(text) <= _TOKEN and not text.startswith(".") and not text.endswith(".") and ".." not in text:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _comment(text: str) -> str:
    """Without what would end the comment; of at most 500 characters."""
    return text.replace("\\", "").replace("(", "[").replace(")", "]")[:500]


def _printable(text: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in text)


def _query_class() -> Any:
    """pyspf's query with our lookups. Made at the first use, as pyspf is loaded then."""
    global _made
    if _made is None:
        import spf

        class Query(spf.query):  # type: ignore[misc]
            def __init__(self, resolver: Lookup, deadline: float, client: str, sender: str, helo: str, receiver: str):
                self._resolver, self._deadline = resolver, deadline
                self.nxdomain = False
                self.scope = b""
                self._first = True
                super().__init__(client, sender, helo, receiver=receiver, strict=True)

            def dns_spf(self, domain: str) -> str | None:
                if self.scope and all(0 < len(label) < 64 for label in domain.split(".")):
                    found = self.dns_txt(domain)
                    own = [
                        text
                        for text in found
                        if (of := _SCOPED.match(text)) and self.scope in of[1].lower().split(b",")
                    ]
                    if len(own) > 1:
                        raise spf.PermError(f"Two or more spf2.0 records of the scope {self.scope.decode()} found.")
                    if own or not found:
                        return "v=spf1" + spf.to_ascii(_SCOPED.sub(b"", own[0])) if own else None
                return super().dns_spf(domain)  # type: ignore[no-any-return]

            def dns(self, name: Any, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:
                name = str(name).rstrip(".").lower()
                first, self._first = self._first, False
                if not name or not all(0 < len(label) < 64 for label in name.split(".")) or len(name) > 253:
                    return []
                key = name, qtype
                found = self.cache.get(key)
                if found is None:
                    found = self.cache[key] = self._asked(name, qtype, first)
                if not found and not ignore_void:
                    self.void_lookups += 1
                    if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                        raise spf.PermError(f"Void lookup limit of {spf.MAX_VOID_LOOKUPS} exceeded")
                return list(found)

            def _asked(self, name: str, qtype: str, first: bool) -> list[Any]:
                if time.monotonic() >= self._deadline:
                    raise spf.TempError("no time left")
                if qtype not in ("A", "AAAA", "MX", "PTR", "TXT"):
                    return []
                try:
                    records = self._resolver.lookup(name, qtype, deadline=self._deadline)
                except LookupFailed as error:
                    if str(error) == "NXDOMAIN":
                        self.nxdomain = self.nxdomain or first
                        return []
                    if str(error) == "NODATA":
                        return []
                    raise spf.TempError(f"DNS {error}", name) from None
                if qtype == "MX":
                    return [(preference, text.rstrip(".")) for preference, text in records]
                if qtype == "TXT":
                    raw = [text.encode("utf-8", "surrogatepass") for _, text in records]
                    return [[text] for text in raw if len(text) <= MAX_RECORD]
                return [text for _, text in records]

        _made = Query
    return _made


_made: Any = None
