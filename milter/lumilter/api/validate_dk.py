"""msys.validate.dk: DomainKeys, DKIM's forerunner.

The law: declarations only. Checking is configured ([authentication] domainkeys), its result a context variable.

Source: manual, module domainkeys and pages of msys.validate.dk.*.
"""

from __future__ import annotations

from typing import Any

from lumilter.api.signed_content import responsible_domain
from lumilter.api.validate_opendkim import sealed
from lumilter.calls import Here, Job
from lumilter.registry import api
from lumilter.session.context import ValidateContext
from lumilter.session.mail import MailMessage

PACKAGE = "msys.validate.dk"
PHASES = "data, data_spool, data_spool_each_rcpt"


@api("msys.validate.dk.get_responsible_domain", package=PACKAGE, phases=PHASES)
def get_responsible_domain(msg: MailMessage, ctx: ValidateContext) -> str | None:
    """The domain of the address in Sender, else in From; nil where there is none."""
    return responsible_domain(msg.content.headers) or None


@api("msys.validate.dk.sign", package=PACKAGE, phases="core_data_validation", also=PHASES, blocking=True)
def sign(msg: MailMessage, ctx: ValidateContext, options: dict[str, Any], *, here: Here) -> Job:
    """Sign the message when it leaves, after every other change. True, or nil and why not.

    options: base_domain (else that of Sender or From), selector, keyfile (%{d}, %{s}) or keybuf, and canon: "nofws"
    (default) or "simple". What is left out is as [domainkeys] says, else as [dkim] does. DomainKeys are RSA with SHA-1.
    """
    seal = here.services.signatures.asked_domainkeys(options, responsible_domain(msg.content.headers))
    return sealed(msg, seal, here)
