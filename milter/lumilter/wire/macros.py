"""The macros that the MTA is asked for, one list for each stage, and how pymilter reads their values.

The law: this table is the only place that names macros; what a stage was given is part of every later event. The
numbers of the stages are the protocol's (SMFIM_ in Sendmail's include/libmilter/mfapi.h).
"""

from __future__ import annotations

from typing import Protocol

from lumilter.session.events import Macros

STAGES: dict[str, tuple[int, tuple[str, ...]]] = {
    "connect": (
        0,
        (
            *("j", "v", "_", "daemon_name", "daemon_addr", "daemon_port", "if_name", "if_addr"),
            *("client_addr", "client_name", "client_ptr", "client_port", "client_resolve", "client_connections"),
        ),
    ),
    "helo": (
        1,
        ("tls_version", "cipher", "cipher_bits", "cert_subject", "cert_issuer", "verify"),
    ),
    "mail": (
        2,
        ("i", "auth_type", "auth_authen", "auth_author", "auth_ssf", "mail_mailer", "mail_host", "mail_addr"),
    ),
    "rcpt": (3, ("i", "rcpt_mailer", "rcpt_host", "rcpt_addr")),
    "data": (4, ("i",)),
    "message": (5, ("i", "msg_id")),
}
"""Stage: (its number, names without braces). Sendmail takes at most 50 names for a stage."""


def spelled(name: str) -> str:
    """A macro's name as the protocol spells it: one letter bare, a longer name in braces."""
    return name if len(name) == 1 else "{" + name + "}"


def _known_at(stage: str) -> tuple[tuple[str, str], ...]:
    names: dict[str, str] = {}
    for each, (_, asked) in STAGES.items():
        names.update((name, spelled(name)) for name in asked)
        if each == stage:
            break
    return tuple(names.items())


_KNOWN = {stage: _known_at(stage) for stage in STAGES}


class Context(Protocol):
    """The part of pymilter's context object that macros need."""

    def getsymval(self, symbol: str) -> str | None: ...

    def setsymlist(self, stage: int, symbols: str) -> None: ...


def request(ctx: Context) -> None:
    """Ask the MTA for the macros of the table; only within the negotiation and when it offers SETSYMLIST."""
    for number, names in STAGES.values():
        ctx.setsymlist(number, " ".join(map(spelled, names)))


def read(ctx: Context, stage: str) -> Macros:
    """The macros that are known at `stage` ("connect", ..., "message"); absent ones are left out."""
    found = {}
    for name, symbol in _KNOWN[stage]:
        try:
            value = ctx.getsymval(symbol)
        except UnicodeDecodeError as error:  # pymilter decodes strictly; the error still has the bytes
            value = error.object.decode("utf-8", "surrogateescape")
        if value is not None:
            found[name] = value
    return found
