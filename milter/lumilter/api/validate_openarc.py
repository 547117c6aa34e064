"""msys.validate.openarc: the chain of ARC seals, checked and made longer.

The law: declarations only. The result is in the context variables arc_cv and arc_seal, as the manual says; a set that
was asked for is made when the message leaves, over everything else.

Source: manual, module openarc and pages of msys.validate.openarc.*.
"""

from __future__ import annotations

import logging
from typing import Any

from lumilter.adapters.signatures.chain import FAIL, ArcSeal, Chain
from lumilter.adapters.signatures.errors import SignatureError
from lumilter.adapters.signatures.fields import names_of
from lumilter.adapters.signatures.signing import KeySource
from lumilter.api.signed_content import add_result, content_of, our_results
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.session.mail import MailMessage

PACKAGE = "msys.validate.openarc"
PHASES = "data, data_spool, data_spool_each_rcpt"
STATUS, SEALED = "arc_cv", "arc_seal"

log = logging.getLogger("lumilter.signatures")


@api("msys.validate.openarc.verify", package=PACKAGE, phases=PHASES, blocking=True, extension=True)
def verify(msg: MailMessage, *, here: Here) -> Job:
    """Check the chain of the message as it stands: "none", "pass" or "fail", in the context variable arc_cv too."""
    content, services = content_of(msg.content), here.services

    def run(deadline: float) -> Chain:
        return _checked(services.signatures.verify_chain(content, services.resolver, deadline))

    def finish(chain: Chain) -> str:
        msg.mess[STATUS] = chain.status
        return chain.status

    return Job(run, "arc", finish)


@api("msys.validate.openarc.sign", package=PACKAGE, phases=PHASES, blocking=True, extension=True)
def sign(msg: MailMessage, options: dict[str, Any], ar: str | None = None, *, here: Here) -> Job:
    """Add a set to the chain when the message leaves, after every other change.

    options: signing_domain, selector, keyfile or keybuf, authservid (this host's name), body_canon ("relaxed"), digest
    ("rsa-sha256"), headerlist and oversign_headerlist (colons between names), skip_ar_header_update. ar: the results
    for ARC-Authentication-Results; without it those of the message's own Authentication-Results. arc_cv is what verify
    found; if it was not called, the chain is checked now. The context variable arc_seal becomes "ok", or "skip" where
    the chain is broken; with a key that can't be read it is not set, and the log says why.
    """
    return _sealing(msg, options, ar, here)


@api("msys.validate.openarc.seal", package=PACKAGE, phases=PHASES, blocking=True, extension=True)
def seal(msg: MailMessage, options: dict[str, Any], ar: str | None = None, *, here: Here) -> Job:
    """The same as msys.validate.openarc.sign."""
    return _sealing(msg, options, ar, here)


def _sealing(msg: MailMessage, options: dict[str, Any], ar: str | None, here: Here) -> Job:
    signatures, services = here.services.signatures, here.services
    known = msg.mess.get(STATUS)
    content = content_of(msg.content)
    ident = _option(options, "authservid") or services.signatures.ident or services.hostname
    file, buffer = _option(options, "keyfile"), _option(options, "keybuf")
    if not file and not buffer:
        raise LumilterError("no key: give options.keyfile or options.keybuf")
    if (_option(options, "header_canon") or "relaxed").lower() != "relaxed":
        raise LumilterError('header_canon can only be "relaxed"')
    seal = ArcSeal(
        domain=(_option(options, "signing_domain") or "").lower(),
        selector=_option(options, "selector"),
        key=KeySource(file, buffer),
        ident=ident,
        status=known or "none",
        results="",
        digest=_option(options, "digest").lower(),
        body_canon=(_option(options, "body_canon") or "relaxed").lower(),
        headers=names_of(_option(options, "headerlist")),
        oversigned=names_of(_option(options, "oversign_headerlist")),
    )

    def run(deadline: float) -> tuple[str, bool]:
        status = known or _checked(signatures.verify_chain(content, services.resolver, deadline)).status
        try:
            signatures.ready(seal)
        except SignatureError as error:
            log.error("a message will not be sealed: %s", error)
            return status, False
        return status, True

    def finish(result: tuple[str, bool]) -> bool | None:
        status, ready = result
        msg.mess[STATUS] = status
        if status == FAIL:
            msg.mess[SEALED] = "skip"
            return None
        if not ready:
            return None
        results = _with_status(ar if ar is not None else our_results(msg.content.headers, ident), status, ident)
        if not options.get("skip_ar_header_update"):
            add_result(msg.content.headers, ident, f"arc={status}")
        msg.seals.append(seal.saying(status, results))
        msg.mess[SEALED] = "ok"
        return True

    return Job(run, "arc", finish)


def _checked(chain: Chain) -> Chain:
    if chain.status == FAIL:
        log.info("an ARC chain of %d sets does not hold: %s", chain.length, chain.reason)
    return chain


def _option(options: dict[str, Any], name: str) -> str:
    value = options.get(name)
    if isinstance(value, dict):
        value = ":".join(str(each) for each in value.values())
    if not isinstance(value, str | None):
        raise LumilterError(f"options.{name} is not a string")
    return (value or "").strip()


def _with_status(results: str, status: str, ident: str) -> str:
    """What the ARC-Authentication-Results says behind the identifier: ASCII on one line, with the chain's own
    result.
    """
    text = " ".join(results.split()).strip("; ")
    head, semicolon, rest = text.partition(";")
    if head.strip().lower() == ident.lower():
        text = rest.strip() if semicolon else ""
    text = "".join(character if " " <= character <= "~" else "?" for character in text)
    kept = [part.strip() for part in text.split(";") if part.strip() and not part.strip().lower().startswith("arc=")]
    return "; ".join([*(part for part in kept if part != "none"), f"arc={status}"])
