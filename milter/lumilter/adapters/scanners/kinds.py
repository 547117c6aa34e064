"""The kinds of engines, by their names in the configuration.

The law: an engine's file is imported once it is configured; a worker without scanners pays for none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lumilter.adapters.scanners.contract import Engine


@dataclass(frozen=True, slots=True)
class Special:
    """What only some kinds need; a kind ignores what is not its own (the configuration refuses it before)."""

    service: str = ""
    method: str = "respmod"
    user: str = ""
    password: str = ""
    command: tuple[str, ...] = ()
    infected: tuple[int, ...] = (1,)
    threat: str = ""
    memory: int = 0


def _clamd(special: Special) -> Engine:
    from lumilter.adapters.scanners.clamd import Clamd

    return Clamd()


def _command(special: Special) -> Engine:
    from lumilter.adapters.scanners.command import Command

    return Command(special.command, special.infected, special.threat, special.memory)


def _icap(special: Special) -> Engine:
    from lumilter.adapters.scanners.icap import Icap

    return Icap(special.service, special.method)


def _spamd(special: Special) -> Engine:
    from lumilter.adapters.scanners.spamd import Spamd

    return Spamd(special.user)


def _rspamd(special: Special) -> Engine:
    from lumilter.adapters.scanners.rspamd import Rspamd

    return Rspamd(special.password)


def _cloudmark(special: Special) -> Engine:
    from lumilter.adapters.scanners.cloudmark import Cloudmark

    return Cloudmark()


def _ctasd(special: Special) -> Engine:
    from lumilter.adapters.scanners.ctasd import Ctasd

    return Ctasd()


KINDS: dict[str, Callable[[Special], Engine]] = {
    "clamd": _clamd,
    "icap": _icap,
    "spamd": _spamd,
    "rspamd": _rspamd,
    "cloudmark": _cloudmark,
    "ctasd": _ctasd,
    "command": _command,
}
