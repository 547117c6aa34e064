"""msys.validate.dk: DomainKeys, DKIM's forerunner.

The law: declarations only. Checking is configured ([authentication] domainkeys), its result a context variable.

Source: manual, module domainkeys and pages of msys.validate.dk.*.
"""

from __future__ import annotations

import logging
from typing import Any

from lumilter.adapters.signatures.errors import SignatureError
from lumilter.api.signed_content import responsible_domain
from lumilter.calls import Here, Job
from lumilter.errors import LookupFailed
from lumilter.registry import api
from lumilter.session.context import ValidateContext
from lumilter.session.mail import MailMessage

PACKAGE = "msys.validate.dk"
PHASES = "data, data_spool, data_spool_each_rcpt"

log = logging.getLogger("lumilter.signatures")


@api("msys.validate.dk.get_responsible_domain", package=PACKAGE, phases=PHASES)
def get_responsible_domain(msg: MailMessage, ctx: ValidateContext) -> str | None:
    """The domain of the address in Sender, else in From; nil where there is none."""
    return responsible_domain(msg.content.headers) or None


@api("msys.validate.dk.sign", package=PACKAGE, phases="core_data_validation", also=PHASES, blocking=True)
def sign(msg: MailMessage, ctx: ValidateContext, options: dict[str, Any], *, here: Here) -> Job:
    """Sign the message when it leaves, after every other change. True, or nil and why not.

    options: base_domain (else that of Sender or From), selector, keyfile (%{d}, %{s}) or keybuf, and canon: "nofws"
    (default) or "simple". What is left out is as [dkim] says. DomainKeys are RSA with SHA-1.
    """
    signatures = here.services.signatures
    seal = signatures.asked_domainkeys(options, responsible_domain(msg.content.headers))

    def run(deadline: float) -> bool:
        try:
            signatures.ready(seal)
        except SignatureError as error:
            log.error("a message will not be signed: %s", error)
            raise LookupFailed(str(error)) from None
        return True

    def finish(result: bool) -> bool:
        msg.seals.append(seal)
        return result

    return Job(run, "key", finish)
