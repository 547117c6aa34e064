"""msys.validate.opendkim: DKIM signatures of a message, looked at and made; the numbers are libopendkim's.

The law: declarations only. A value that can't be had comes as nil (a number as 0) with DKIM_STAT_INVALID.

Source: manual, pages of msys.validate.opendkim.*; libopendkim's documentation for what each accessor gives.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import Any

from lumilter.adapters.signatures import codes
from lumilter.adapters.signatures.errors import SignatureError
from lumilter.adapters.signatures.verification import Signature, Verified
from lumilter.api.signed_content import content_of, responsible_domain
from lumilter.calls import Here, Job
from lumilter.errors import LookupFailed, LumilterError
from lumilter.registry import api, constants, lua_class
from lumilter.session.context import ValidateContext
from lumilter.session.mail import MailMessage

log = logging.getLogger("lumilter.signatures")

PACKAGE = "msys.validate.opendkim"
PHASES = "data, data_spool, data_spool_each_rcpt"
SIGNING = "core_final_validation"
"""The table's name for the phase final_validation; as the message is signed when it leaves, any earlier one will do."""

constants("opendkim.dkim", {**codes.STATUS, **codes.FLAGS, **codes.CANONS, **codes.ALGORITHMS})
lua_class("DKIM", Verified)
lua_class("DKIM_SIGINFO", Signature)


@api("msys.validate.opendkim.verify", package=PACKAGE, phases=PHASES, blocking=True)
def verify(m: MailMessage, *, here: Here) -> Job:
    """Check every DKIM signature of the message as it stands. A DKIM handle, and the message's DKIM_STAT.

    The status is that of the first signature that passed, else of the first one: DKIM_STAT_OK, DKIM_STAT_BADSIG,
    DKIM_STAT_NOSIG (there is none), DKIM_STAT_NOKEY, DKIM_STAT_KEYFAIL (DNS did not answer: try again later),
    DKIM_STAT_REVOKED, or DKIM_STAT_CANTVRFY (the signature itself is wrong; get_sig_errorstr says how).
    """
    content, services = content_of(m.content), here.services

    def run(deadline: float) -> tuple[Verified, int]:
        found = services.signatures.verify(content, services.resolver, deadline)
        return found, found.status

    return Job(run, "dkim")


@api("msys.validate.opendkim.get_num_sigs", package=PACKAGE, phases=PHASES)
def get_num_sigs(dkim: Verified) -> tuple[int, int]:
    """How many signatures the message has, and DKIM_STAT_OK."""
    return len(dkim.signatures), codes.OK


@api("msys.validate.opendkim.get_sig", package=PACKAGE, phases=PHASES)
def get_sig(dkim: Verified, num: int | None = None) -> tuple[Signature | None, int]:
    """The signature of that number, from 0 for the topmost, and DKIM_STAT_OK; nil, DKIM_STAT_INVALID if there is none.

    Without a number: the one that the status of verify is about.
    """
    numbered = dict(enumerate(dkim.signatures))
    found = dkim.best if num is None else numbered.get(num)
    return found, codes.INVALID if found is None else codes.OK


@api("msys.validate.opendkim.get_sig_canons", package=PACKAGE, phases=PHASES)
def get_sig_canons(dkim_sig: Signature) -> tuple[str | None, int, str | None]:
    """The header canonicalization ("simple", "relaxed"), the DKIM_STAT, and the body canonicalization."""
    text, status = _text(dkim_sig.header_canon)
    return text, status, _text(dkim_sig.body_canon)[0]


@api("msys.validate.opendkim.get_sig_domain", package=PACKAGE, phases=PHASES)
def get_sig_domain(dkim_sig: Signature) -> tuple[str | None, int]:
    """The signing domain (d=), and the DKIM_STAT."""
    return _text(dkim_sig.domain)


@api("msys.validate.opendkim.get_sig_errorstr", package=PACKAGE, phases=PHASES)
def get_sig_errorstr(dkim_sig: Signature) -> tuple[str | None, int]:
    """What is wrong with the signature in libopendkim's words, "no signature error" if nothing; and DKIM_STAT_OK."""
    return dkim_sig.error, codes.OK


@api("msys.validate.opendkim.get_sig_flags", package=PACKAGE, phases=PHASES)
def get_sig_flags(dkim_sig: Signature) -> tuple[int, int]:
    """DKIM_SIGFLAG_* of the signature, added up; and DKIM_STAT_OK.

    PROCESSED: its key was asked for. PASSED: signature and body hash are right. TESTKEY: the key has t=y. NOSUBDOMAIN:
    it has t=s. IGNORE: it was not looked at, as the message has too many.
    """
    return dkim_sig.flags, codes.OK


@api("msys.validate.opendkim.get_sig_hdrsigned", package=PACKAGE, phases=PHASES)
def get_sig_hdrsigned(dkim_sig: Signature, header_name: str) -> tuple[bool, int]:
    """Whether a header of that name is among the signed ones (h=), and DKIM_STAT_OK."""
    return header_name.lower() in (name.lower() for name in dkim_sig.signed), codes.OK


@api("msys.validate.opendkim.get_sig_identity", package=PACKAGE, phases=PHASES)
def get_sig_identity(dkim: Verified | None, dkim_sig: Signature | None) -> tuple[str | None, int]:
    """The identity (i=; without one, @ and the domain), and the DKIM_STAT. With nil: of get_sig(dkim)."""
    found = dkim_sig or (dkim.best if dkim else None)
    return (None, codes.INVALID) if found is None or not found.domain else (found.identity, codes.OK)


@api("msys.validate.opendkim.get_sig_keysize", package=PACKAGE, phases=PHASES)
def get_sig_keysize(dkim_sig: Signature) -> tuple[int, int]:
    """Bits of the public key, and DKIM_STAT_OK; 0, DKIM_STAT_INVALID where there was no key."""
    return dkim_sig.key_bits, codes.OK if dkim_sig.key_bits else codes.INVALID


@api("msys.validate.opendkim.get_sig_selector", package=PACKAGE, phases=PHASES)
def get_sig_selector(dkim_sig: Signature) -> tuple[str | None, int]:
    """The selector (s=), and the DKIM_STAT."""
    return _text(dkim_sig.selector)


@api("msys.validate.opendkim.get_sig_signalg", package=PACKAGE, phases=PHASES)
def get_sig_signalg(dkim_sig: Signature) -> tuple[str | None, int]:
    """The algorithm (a=), such as "rsa-sha256", and the DKIM_STAT."""
    return _text(dkim_sig.algorithm)


@api("msys.validate.opendkim.sign", package=PACKAGE, phases=SIGNING, also=PHASES, blocking=True)
def sign(
    msg: MailMessage | None, vctx: ValidateContext | None, options: dict[str, Any] | None = None, *, here: Here
) -> Job:
    """Sign the message when it leaves, after every other change; with nil, the one at hand. True, or nil and why not.

    options, each instead of what [dkim] and [[dkim_domain]] say: base_domain or signing_domain, selector, keyfile (%{d}
    and %{s} stand for the domain and the selector), keybuf (PEM on one line), header_canon, body_canon ("simple",
    "relaxed"), digest ("rsa-sha256", "rsa-sha1", "ed25519-sha256"), headerlist, oversign_headerlist, skip_headerlist
    (tables, or texts with colons, commas or spaces), identity, body_length_limit (true, or a number of bytes), lifetime
    (hours), copy_headers. A key that can't be read is no error: nil, and why. Several calls make several signatures.
    """
    return asked_for(msg, options, here, strict=False)


def asked_for(msg: MailMessage | None, options: dict[str, Any] | None, here: Here, strict: bool) -> Job:
    """Let a message be signed as options say. strict: headerlist is read as the older module reads it."""
    message = msg if msg is not None else here.session.message if here.session is not None else None
    if message is None:
        raise LumilterError("there is no message to sign")
    seal = here.services.signatures.asked(options or {}, responsible_domain(message.content.headers), strict)
    return sealed(message, seal, here)


def sealed(message: MailMessage, seal: Hashable, here: Here) -> Job:
    """Let a message be signed when it leaves: true; nil and why not where the key can't be had."""
    signatures = here.services.signatures

    def run(deadline: float) -> bool:
        try:
            signatures.ready(seal)
        except SignatureError as error:
            log.error("a message will not be signed: %s", error)
            raise LookupFailed(str(error)) from None
        return True

    def finish(result: bool) -> bool:
        message.seals.append(seal)
        return result

    return Job(run, "key", finish)


def _text(value: str) -> tuple[str | None, int]:
    return (value, codes.OK) if value else (None, codes.INVALID)
