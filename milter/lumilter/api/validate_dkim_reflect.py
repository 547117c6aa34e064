"""msys.validate.dkim.reflect: what DKIM says about a message, mailed to whoever wants to know.

The law: the message is looked at as it came. A call before it is there is done when it is (session.steps.Errand); what
is promised then is in the outbox before any script sees the message.

Source: manual of Momentum 3, msys.validate.dkim.reflect; RFC 3834 for Auto-Submitted. The words of the mail are ours.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable
from dataclasses import replace

from lumilter.adapters.signatures.verification import Verified
from lumilter.api.message_making import container, made_part, new_boundary
from lumilter.api.message_sending import envelope, hops_of, promise
from lumilter.api.signed_content import content_of
from lumilter.api.validate_dkim import PACKAGE, status_word
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.session import mime_edits, phases, routing
from lumilter.session import text as texts
from lumilter.session.context import ValidateContext
from lumilter.session.events import EndOfMessage
from lumilter.session.headers import HeaderList
from lumilter.session.mail import MailMessage, script_message
from lumilter.session.transfer import QUOTED

_EARLY = ("mailfrom", "rcptto", "rcptto_list")
_SUBJECT = "Result of a DKIM check"
_NOTE = "The DKIM signatures of your message were checked."
_SHOWN = 50
"""Signatures that are told about."""


@api(
    "msys.validate.dkim.reflect",
    package=PACKAGE,
    phases="mailfrom, rcptto, rcptto_list, data, data_spool, data_spool_each_rcpt",
    since="3.1",
    blocking=True,
    extension=True,
)
def reflect(
    msg: MailMessage | None, ctx: ValidateContext | None, sender_addrs: str, receiver_addrs: str,
    subj: str | None = None, note: str | None = None, *, here: Here,
) -> Job | bool:  # fmt: skip
    """Check the message's DKIM signatures and mail the results, with its header section. True once that is promised.

    Before there is a message (validate_rcptto) it is done when it has come; should it fail then, the log says why.
    sender_addrs: From, and the envelope's sender. receiver_addrs: with ";" between them; the first is in To, the others
    get a blind copy. subj, note: the subject and the text before the results, in UTF-8; lumilter's own unless given.
    """
    message = msg if msg is not None else here.session.message if here.session is not None else None
    if message is None:
        raise LumilterError("there is no message")
    if not here.services.mail.configured and not here.is_shadow:
        raise LumilterError("sending mail needs [inject] server in the configuration")
    each = [envelope(sender_addrs, one) for one in receiver_addrs.split(";") if one.strip()]
    if not each:
        raise LumilterError("receiver_addrs names nobody")
    called = replace(here)  # whose it is, when others' code is running
    sender, recipients = each[0][0], list(dict.fromkeys(one for _, found in each for one in found))

    def begin() -> Callable[[], None]:
        return _work(message, sender, recipients, subj or _SUBJECT, note or _NOTE, called)

    if here.phase in _EARLY:
        if not _comes(here):
            raise LumilterError(
                "no message comes here: the MTA only sends it where a script has a hook at its end, validate_data_spool"
            )
        message.errands.append(begin)
        return True
    work = begin()

    def run(deadline: float) -> bool:
        work()
        return True

    return Job(run, "dkim")


def _comes(here: Here) -> bool:
    """Whether the MTA is asked for the content of messages (see Engine.needs)."""
    hooked = any(phases.is_hooked(EndOfMessage, module.hooks) for module in here.session.modules)
    return hooked or here.services.signatures.reads_all


def _work(
    message: MailMessage, sender: str, recipients: list[str], subject: str, note: str, here: Here
) -> Callable[[], None]:
    """What is left for a pool thread: everything of the session's that it needs is read before."""
    content, services = content_of(message.content), here.services
    section, hops, ident = message.content.headers.to_bytes(), hops_of(message), here.new_id()

    def work() -> None:
        deadline = time.monotonic() + services.signatures.rules.timeout
        found = services.signatures.verify(content, services.resolver, deadline)
        text = "\r\n".join([*note.splitlines(), "", *_told(found), ""])
        new = _mail(ident, sender, recipients[0], subject, text, section, services.hostname)
        if hops:
            new.content.headers.write(routing.HOPS.decode(), str(hops))
        promised = promise(new, sender, recipients, here)
        if isinstance(promised, Job):
            promised.run(0)

    return work


def _told(found: Verified) -> list[str]:
    """The results, a paragraph for each signature."""
    if not found.signatures:
        return ["Result: none (the message has no DKIM-Signature)"]
    lines = [f"Result: {status_word(found.status)}"]
    for number, each in enumerate(found.signatures[:_SHOWN], 1):
        lines += [
            "",
            f"Signature {number}: {status_word(each.status)} ({each.error})",
            f"  d={each.domain} s={each.selector} a={each.algorithm}",
            f"  i={each.identity} c={each.header_canon}/{each.body_canon} key: {each.key_bits} bits",
            f"  h={':'.join(each.signed)}",
        ]
    if len(found.signatures) > _SHOWN:
        lines += ["", f"{len(found.signatures) - _SHOWN} more signatures were not told about."]
    return lines


def _mail(
    ident: str, sender: str, recipient: str, subject: str, text: str, section: bytes, hostname: str
) -> MailMessage:
    raw = texts.transfer_encoded(text.encode("utf-8", "replace"), QUOTED)
    parts = [made_part("text/plain; charset=utf-8", raw, QUOTED), made_part("text/rfc822-headers", section, "8bit")]
    top = container("multipart/mixed", new_boundary(parts))
    for part in parts:
        mime_edits.insert(top, len(top.children or ()), part)
    new = script_message(ident)
    headers = HeaderList()
    for name, value in (
        ("Date", email.utils.formatdate()),
        ("From", sender or f"MAILER-DAEMON@{hostname}"),
        ("To", recipient),
        ("Message-ID", email.utils.make_msgid("lumilter", hostname)),
        ("Auto-Submitted", "auto-replied"),
        ("MIME-Version", "1.0"),
        ("Content-Type", top.headers.get("Content-Type")[0]),
    ):
        headers.append(name, [value])
    headers.append("Subject", [subject])
    new.content.headers = headers
    new.content.body = top.body_bytes()
    return new
