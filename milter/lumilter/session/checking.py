"""Who mail is from: what is found out about a sender, and about a message, before any script sees it.

The law: pure. Checks put variables into the message context and fields before all others; they never decide about mail.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from lumilter.session.address import addresses
from lumilter.session.headers import Header, HeaderList
from lumilter.session.message import Message
from lumilter.session.purported import purported


@dataclass(frozen=True, slots=True)
class Checking:
    """What is configured. sender: checked at "mail" or "rcpt", "" never. message: checked at its end.

    unless: the context variable of clients whose mail is not checked; "" is none.
    """

    sender: str = ""
    message: bool = False
    unless: str = ""

    def wanted(self, *contexts: Mapping[str, str]) -> bool:
        """Whether mail with these variables is checked."""
        return not self.unless or not any(self.unless in context for context in contexts)


@dataclass(frozen=True, slots=True)
class Check:
    """Ask who mail is from. content: the message, None before there is one. found: what was found out before.

    authors: the domains in From. responsible: the address in Sender, else in From. purported: see there.
    """

    client: str
    helo: str
    sender: str
    content: Message | None = None
    found: object = None
    authors: tuple[str, ...] = ()
    responsible: str = ""
    purported: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Checked:
    """variables: for the message context. found: to be passed on with the next Check of this transaction.

    removed: positions of fields that must go. fields: go before all others.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    found: object = None
    removed: frozenset[int] = frozenset()
    fields: tuple[Header, ...] = ()


def responsible(headers: HeaderList) -> str:
    """The first address in Sender, else in From; "" where there is none."""
    for name in ("Sender", "From"):
        for text in headers.undecoded(name):
            found = [address for address in addresses(text, "all") if "@" in address]
            if found:
                return found[0]
    return ""


def about(content: Message, client: str, helo: str, sender: str, found: object) -> Check:
    """The question about a message."""
    authors = tuple(domain for text in content.headers.undecoded("From") for domain in addresses(text, "domain"))
    headers = content.headers
    return Check(client, helo, sender, content, found, authors, responsible(headers), purported(headers))


def checked(question: Check, mess: dict[str, str]) -> Generator[Check, object, object]:
    """Ask, and do what the answer says; returns what was found out."""
    answer = yield question
    assert isinstance(answer, Checked)
    mess.update(answer.variables)
    if question.content is not None:
        question.content.headers.take_out(answer.removed)
        question.content.headers.put_first(answer.fields)
    return answer.found
