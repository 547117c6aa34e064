"""A message as the adapters of signatures want it, and what signs it when it leaves.

The law: raw bytes; nothing is decoded, nothing is changed. Whom a message is from is said in one place, here.

Source: manual, modules domainkeys and opendkim ("the responsible sender", sign_condition).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from lumilter.adapters.signatures import results
from lumilter.adapters.signatures.content import Content
from lumilter.adapters.signatures.scopes import Way
from lumilter.adapters.signatures.service import Signatures
from lumilter.api.extended_message import addresses_in
from lumilter.session.address import Path
from lumilter.session.headers import Header, HeaderList
from lumilter.session.mail import MailMessage
from lumilter.session.message import Message
from lumilter.session.routing import DEFAULT


def content_of(message: Message) -> Content:
    """Headers and body as they stand."""
    return Content.of(((header.name, header.value) for header in message.headers), message.body)


def responsible_domain(headers: HeaderList) -> str:
    """The domain of the first address in Sender, else in From, in lower case; "" where there is none."""
    for name in ("Sender", "From"):
        domains = [domain for domain in addresses_in(headers, name, "domain") if domain]
        if domains:
            return domains[0].lower()
    return ""


class Sealing:
    """What the configuration signs messages with. Recipients' messages share their headers: From is read once."""

    def __init__(self, signatures: Signatures) -> None:
        self._signatures = signatures
        self._last: tuple[HeaderList, str] | None = None

    def __call__(self, message: MailMessage, domain: str | None = None) -> Sequence[Hashable]:
        """The seals of a message. domain: the recipient's, where the message has not one recipient alone.

        A message that a script made has contexts of its own, for a condition too: what it holds may be a stranger's.
        """
        if not self._signatures.signs:
            return ()
        headers, conn, mess = message.content.headers, message.conn, message.mess
        if self._last is None or not self._last[0].is_shared(headers):
            self._last = headers.copy(), responsible_domain(headers)
        domain = Path.parse(message.content.rcptto).domain if domain is None else domain
        way = Way(message.route.binding or DEFAULT, message.route.group, domain.lower())
        return self._signatures.configured(self._last[1], lambda name: name in conn or name in mess, way)


def our_results(headers: HeaderList, ident: str) -> str:
    """What the message's topmost Authentication-Results of ours says, identifier and all; "" without one."""
    field = _ours(headers, ident)
    return field.unfolded.decode("utf-8", "surrogateescape") if field is not None else ""


def add_result(headers: HeaderList, ident: str, text: str) -> None:
    """Say one more thing in the message's Authentication-Results of ours, or in one that is put before all fields."""
    field = _ours(headers, ident)
    if field is None:
        headers.put_first([Header(results.NAME, f" {ident};\n\t{text}".encode("ascii", "replace"))])
        return
    kept = field.value.rstrip(b" \t\n;").removesuffix(b"; none")
    headers.exchange(field, Header(field.name, kept + b";\n\t" + text.encode("ascii", "replace")))


def _ours(headers: HeaderList, ident: str) -> Header | None:
    found = list(headers)
    places = results.own([(header.name, header.value) for header in found], ident)
    return found[places[0]] if places else None
