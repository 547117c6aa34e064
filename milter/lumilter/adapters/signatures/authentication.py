"""Everything that the configuration has checked about a message, in the order in which one needs the other.

The law: one deadline for a transaction's part; DNS that is down is a result of each method, never a failure of mail.

Source: manual, modules spf (spf_v1), domainkeys (dk_validate); RFC 8601.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lumilter.adapters.dns_lookup import Lookup
from lumilter.adapters.signatures import dmarc, domainkeys, results, sender_policy, verification
from lumilter.adapters.signatures.canonical import Buffer
from lumilter.adapters.signatures.content import Content, Field
from lumilter.adapters.signatures.sender_policy import SpfResult
from lumilter.adapters.signatures.verification import Rules

_DKIM = {0: "pass", 1: "fail", 2: "none", 11: "temperror"}


@dataclass(frozen=True, slots=True)
class SpfRules:
    """As the module spf_v1 has them. texts: by result, and "nxdomain": what is told where the domain tells nothing."""

    default_rule: str = "?all"
    add_headers: bool = True
    add_results: bool = True
    variable: str = "spf_status"
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SenderIdRules:
    """As the module senderid has them. mail: for the envelope's sender; its switches are for the other one too."""

    mail: SpfRules
    pra_rule: str = "?all"
    pra_variable: str = "senderid_pra_status"


@dataclass(frozen=True, slots=True)
class Methods:
    """What is checked. ident: our name in Authentication-Results. timeout: seconds for SPF, and for all of a
    message.
    """

    ident: str
    spf: SpfRules | None = None
    dkim: bool = False
    dmarc: bool = False
    domainkeys: bool = False
    timeout: float = 20.0
    senderid: SenderIdRules | None = None


@dataclass(slots=True)
class Found:
    """variables: for scripts. found: SPF's result. removed: positions of fields that must go. fields: new ones."""

    variables: dict[str, str] = field(default_factory=dict)
    found: SpfResult | None = None
    removed: set[int] = field(default_factory=set)
    fields: list[Field] = field(default_factory=list)


def check_sender(methods: Methods, client: str, helo: str, sender: str, resolver: Lookup) -> Found:
    """SPF; nothing for a client without an address."""
    try:
        ipaddress.ip_address(client)
    except ValueError:
        return Found()
    until = time.monotonic() + methods.timeout

    def judged(rules: SpfRules, scope: str = "") -> SpfResult:
        return sender_policy.check(client, sender, helo, methods.ident, rules.default_rule, resolver, until, scope)

    result = judged(methods.spf or SpfRules())
    made = Found(found=result)
    if methods.spf is not None:
        made.variables.update(_told(methods.spf, result))
    if methods.senderid is not None:
        made.variables.update(_told(methods.senderid.mail, judged(methods.senderid.mail, "mfrom")))
    return made


def _told(rules: SpfRules, result: SpfResult) -> dict[str, str]:
    """The variables of a result."""
    text = rules.texts.get("nxdomain", "") if result.nxdomain else result.explanation
    text = text or rules.texts.get(result.result, "")
    return {rules.variable: result.result, **({f"{rules.variable}_text": text} if text else {})}


def check_message(
    methods: Methods,
    fields: Sequence[Field],
    body: Buffer,
    spf: SpfResult | None,
    authors: Sequence[str],
    responsible: str,
    resolver: Lookup,
    rules: Rules,
    purported: tuple[str, str] = ("", ""),
) -> Found:
    """The rest. fields: folded with LF or CRLF. authors: domains in From. responsible: the address in Sender or
    From. purported: the field and the address of Sender ID's.
    """
    content = Content.of(fields, body)
    until = time.monotonic() + methods.timeout
    made = Found(found=spf)
    made.removed.update(claims(methods, fields))
    parts = []
    if spf is not None and methods.spf is not None:
        if methods.spf.add_headers:
            made.fields.append((b"Received-SPF", b" " + sender_policy.received_spf(spf).encode("ascii")))
        if methods.spf.add_results:
            parts.append(results.of_spf(spf))
    if spf is not None and methods.senderid is not None:
        own = methods.senderid
        by_field = _purported(own, purported[1], spf, resolver, until)
        made.variables[own.pra_variable] = by_field.result
        if own.mail.add_headers and purported[1]:
            made.fields.append((b"Received-SPF", b" " + sender_policy.received_spf(by_field).encode("ascii")))
        if own.mail.add_results:
            parts.append(results.of_sender_id(by_field.result, *purported))
    if methods.dkim or methods.dmarc:
        verified = verification.verify(content, resolver, rules, until)
        if methods.dkim:
            parts += results.of_dkim(verified.signatures)
            made.variables["dkim_status"] = _DKIM.get(verified.status, "permerror")
        if methods.dmarc:
            found = dmarc.evaluate(authors, verified.signatures, spf, resolver, until)
            parts.append(results.of_dmarc(found))
            made.variables.update(
                dmarc_status=found.result, dmarc_domain=found.domain, dmarc_policy=found.policy,
                dmarc_disposition=found.disposition,
            )  # fmt: skip
    if methods.domainkeys:
        old = domainkeys.verify(content, responsible, resolver, rules.timeout, until)
        made.fields.append((domainkeys.STATUS, b" " + old.word.encode("ascii")))
        if old.status != domainkeys.NO_SIGNATURE:
            made.variables["dk_status"] = old.status
            parts.append(results.of_domainkeys(old))
    if parts:
        made.fields.insert(0, (results.NAME, results.value(methods.ident, parts)))
    made.fields = [(name, value.replace(b"\r\n", b"\n")) for name, value in made.fields]
    return made


def claims(methods: Methods, fields: Sequence[Field]) -> set[int]:
    """Positions of the fields that say what is for us alone to say, and must go whatever else is found out."""
    found = set(results.claimed(fields, methods.ident))
    if methods.domainkeys:
        status = domainkeys.STATUS.lower()
        found.update(at for at, (name, _) in enumerate(fields) if name.rstrip(b" \t").lower() == status)
    return found


def _purported(rules: SenderIdRules, address: str, spf: SpfResult, resolver: Lookup, until: float) -> SpfResult:
    """Whether the client may send for the address that the message's fields name (RFC 4406, RFC 4407)."""
    if not address:
        return SpfResult("permerror", problem="no purported responsible address")
    found = sender_policy.check(spf.client, address, spf.helo, spf.receiver, rules.pra_rule, resolver, until, "pra")
    return replace(found, identity="pra")
