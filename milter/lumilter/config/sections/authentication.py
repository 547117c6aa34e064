"""[spf], [senderid] and [authentication]: what is checked of all mail before scripts see it."""

from __future__ import annotations

from dataclasses import dataclass

from lumilter.config.declare import key
from lumilter.config.kinds import BOOLEAN, TEXT, seconds


@dataclass(frozen=True, slots=True)
class Spf:
    """SPF of every sender, as Momentum's modules spf_v1 and spf_macros. The result is for scripts: mail goes on."""

    enabled: bool = key(BOOLEAN, "Check it.", False)
    delay_check: bool = key(BOOLEAN, "Check at the first RCPT instead of MAIL.", False)
    context_variable: str = key(
        TEXT,
        "The message context variable with the result: pass, fail, softfail, neutral, none, temperror or permerror. "
        'With "_text" behind it: what the domain, or a key below, says about it.',
        "spf_status",
    )
    default_rule: str = key(TEXT, 'The policy of domains that have none; empty gives "none".', "?all")
    add_headers: bool = key(BOOLEAN, "Put Received-SPF into the message.", True)
    add_authentication_results: bool = key(BOOLEAN, "Put the result into Authentication-Results.", True)
    fail_fallback_string: str = key(TEXT, "The text of a fail without one of the domain's.", "SPF validation failure")
    softfail_fallback_string: str = key(TEXT, "The text of a softfail.", "SPF validation soft failure")
    nxdomain_override_string: str = key(
        TEXT, "The text where the sender's domain does not exist.", "Could not resolve sender's domain"
    )
    temperror_override_string: str = key(TEXT, "The text where DNS did not answer.", "Temporary SPF failure")


@dataclass(frozen=True, slots=True)
class SenderId:
    """Sender ID (RFC 4406), as Momentum's module senderid: SPF for the sender in the envelope and for the one that the
    message's fields name, by policies of its own (spf2.0) where a domain has them. Hardly anybody has any more."""

    enabled: bool = key(BOOLEAN, "Check it.", False)
    context_variable: str = key(
        TEXT, 'The message context variable with the result for the envelope; "_text" as in [spf].', "senderid_status"
    )
    context_pra_variable: str = key(
        TEXT,
        "The one with the result for the address in Resent-Sender, Resent-From, Sender or From (RFC 4407); permerror "
        "where a message has none.",
        "senderid_pra_status",
    )
    default_rule: str = key(TEXT, 'The policy of domains that have none; empty gives "none".', "?all")
    default_pra_rule: str = key(TEXT, "The same for the address in the message.", "?all")
    add_headers: bool = key(BOOLEAN, "Put Received-SPF for the address in the message into it.", True)
    add_authentication_results: bool = key(BOOLEAN, "Put that result into Authentication-Results.", True)
    fail_fallback_string: str = key(TEXT, "The text of a fail without one of the domain's.", "SPF validation failure")
    softfail_fallback_string: str = key(TEXT, "The text of a softfail.", "SPF validation soft failure")
    nxdomain_override_string: str = key(
        TEXT, "The text where the sender's domain does not exist.", "Could not resolve sender's domain"
    )


@dataclass(frozen=True, slots=True)
class Authentication:
    """Other checks of every message, and what all of them share. With any of them, Authentication-Results that claim to
    be ours are taken out of what comes in, and one with our results is put before all other fields."""

    authserv_id: str = key(
        TEXT, "Our name in Authentication-Results; empty is the host's.", "", example="mx.example.com"
    )
    unless: str = key(
        TEXT,
        "The context variable of clients whose mail is not checked, SPF included; empty checks everybody's.",
        "can_relay",
    )
    dkim: bool = key(BOOLEAN, "Check DKIM: dkim_status is pass, fail, none, temperror or permerror.", False)
    dmarc: bool = key(
        BOOLEAN,
        "Evaluate DMARC, with SPF and DKIM as it needs them: dmarc_status (pass, fail, none, temperror, permerror), "
        "dmarc_domain, dmarc_policy (what the domain wants of mail that fails: none, quarantine, reject) and "
        "dmarc_disposition (that for this message, pct= drawn).",
        False,
    )
    domainkeys: bool = key(
        BOOLEAN, "Check DomainKeys, as Momentum's module dk_validate: dk_status, and DomainKey-Status fields.", False
    )
    timeout: float = key(seconds(0.1), "Seconds for SPF, and for all checks of a message together.", 20)
