"""DMARC (RFC 7489) evaluated: whether the domain that readers see in From is the one that SPF or DKIM vouches for.

The law: nothing is decided here about mail; what a domain asks for is reported. Organizational domains come from the
list of public suffixes that is installed with lumilter.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from lumilter.adapters.dns_lookup import Lookup
from lumilter.adapters.signatures import codes
from lumilter.adapters.signatures.keys import Malformed, tags_of
from lumilter.adapters.signatures.sender_policy import SpfResult
from lumilter.adapters.signatures.verification import Signature
from lumilter.errors import LookupFailed

POLICIES = ("none", "quarantine", "reject")
_RECORD = re.compile(r"v\s*=\s*DMARC1\s*(?:;|$)")
MAX_RECORD = 4096


@dataclass(frozen=True, slots=True)
class DmarcResult:
    """result: "pass", "fail", "none" (no policy), "temperror", "permerror". domain: of From.

    policy: what the domain asks for where mail fails. disposition: that, after its pct= was drawn; "none" unless it
    failed.
    """

    result: str
    domain: str = ""
    policy: str = ""
    disposition: str = "none"


@dataclass(frozen=True, slots=True)
class Policy:
    """A record. sub: its policy for subdomains. strict_dkim, strict_spf: adkim=s, aspf=s. percent: pct."""

    policy: str
    sub: str
    strict_dkim: bool = False
    strict_spf: bool = False
    percent: int = 100


def evaluate(
    domains: Sequence[str], signatures: Iterable[Signature], spf: SpfResult | None, resolver: Lookup, deadline: float
) -> DmarcResult:
    """The result for the domains in From, of which there should be one."""
    distinct = {domain.lower().rstrip(".") for domain in domains if domain}
    if len(distinct) != 1:
        return DmarcResult("permerror" if distinct else "none")
    (domain,) = distinct
    try:
        found, below = _policy(domain, resolver, deadline)
    except LookupFailed:
        return DmarcResult("temperror", domain)
    if found is None:
        return DmarcResult("none", domain)
    policy = found.sub if below else found.policy
    checked = list(signatures)
    if any(each.passed and is_aligned(each.domain, domain, found.strict_dkim) for each in checked):
        return DmarcResult("pass", domain, policy)
    if (
        spf is not None
        and spf.result == "pass"
        and not spf.guessed
        and is_aligned(spf.domain, domain, found.strict_spf)
    ):
        return DmarcResult("pass", domain, policy)
    later = any(each.status == codes.KEYFAIL and is_aligned(each.domain, domain, False) for each in checked)
    if later or (spf is not None and spf.result == "temperror" and is_aligned(spf.domain, domain, False)):
        return DmarcResult("temperror", domain, policy)
    return DmarcResult("fail", domain, policy, drawn(policy, found.percent))


def drawn(policy: str, percent: int) -> str:
    """What pct= leaves of a policy (RFC 7489 6.6.4): the next milder one for the rest."""
    if policy == "none" or random.random() * 100 < percent:
        return policy
    return POLICIES[POLICIES.index(policy) - 1]


def is_aligned(authenticated: str, author: str, strict: bool) -> bool:
    """Whether two domains are the same, or, unless strict, of the same organization (RFC 7489 3.1)."""
    one, other = authenticated.lower().rstrip("."), author.lower().rstrip(".")
    if not one or not other:
        return False
    return one == other or (not strict and organizational(one) == organizational(other))


def organizational(domain: str) -> str:
    """The organizational domain: one label below a public suffix, else the domain itself."""
    if domain.count(".") > 126:
        return domain
    return _suffixes().privatesuffix(domain) or domain


@cache
def _suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def _policy(domain: str, resolver: Lookup, deadline: float) -> tuple[Policy | None, bool]:
    """The policy of a domain, and whether it is that of its organization (RFC 7489 6.6.3). Raises LookupFailed."""
    found = _record(domain, resolver, deadline)
    if found is not None:
        return found, False
    above = organizational(domain)
    return (None, False) if above == domain else (_record(above, resolver, deadline), True)


def _record(domain: str, resolver: Lookup, deadline: float) -> Policy | None:
    try:
        records = resolver.lookup(f"_dmarc.{domain}", "TXT", deadline=deadline)
    except LookupFailed as error:
        if str(error) in ("NXDOMAIN", "NODATA"):
            return None
        raise
    texts = [text for _, text in records if _RECORD.match(text) and len(text) <= MAX_RECORD]
    return read(texts[0]) if len(texts) == 1 else None


def read(text: str) -> Policy | None:
    """A record; None for one that says no policy. What is wrong in it counts as left out (RFC 7489 6.3, 6.6.3)."""
    try:
        tags = tags_of(text.encode("utf-8", "surrogatepass"))
    except Malformed:
        return None
    policy, sub = tags.get("p", "").lower(), tags.get("sp", "").lower()
    if policy not in POLICIES or (sub and sub not in POLICIES):
        if not tags.get("rua"):
            return None
        policy, sub = "none", ""
    percent = tags.get("pct", "100")
    return Policy(
        policy,
        sub or policy,
        tags.get("adkim", "r").lower() == "s",
        tags.get("aspf", "r").lower() == "s",
        int(percent) if re.fullmatch("[0-9]{1,3}", percent) and int(percent) <= 100 else 100,
    )
