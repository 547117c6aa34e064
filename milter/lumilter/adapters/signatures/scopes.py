"""Whether mail is signed by configuration, by the way it leaves: Momentum's scopes for opendkim_sign and domainkeys.

The law: of the scopes that a message is in, the most specific one that says something decides; without any, what the
signature's own table says.

Source: manual, opendkim_sign, domainkeys, "Configuration Scopes and Fallback".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Way:
    """How a message leaves. binding, group: "" is none. domain: the recipient's, in lower case, in Unicode or not."""

    binding: str = ""
    group: str = ""
    domain: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """Messages with this binding, of this group, for this domain; "" is any. dkim, domainkeys: None says nothing."""

    binding: str = ""
    group: str = ""
    domain: str = ""
    dkim: bool | None = None
    domainkeys: bool | None = None

    @property
    def rank(self) -> tuple[bool, ...]:
        """The higher, the more specific: a domain within a binding or group, a binding, a group, a domain alone."""
        within = bool(self.binding or self.group)
        return within and bool(self.domain), bool(self.binding), bool(self.group), bool(self.domain)

    def holds(self, way: Way) -> bool:
        """Whether a message that leaves this way is in it."""
        wanted = ((self.binding, way.binding), (self.group, way.group), (self.domain, way.domain))
        return all(not own or own == other for own, other in wanted)


@dataclass(frozen=True, slots=True)
class Scopes:
    """dkim, domainkeys: without a scope. groups: the group of each binding that is in one."""

    scopes: Sequence[Scope] = ()
    dkim: bool = True
    domainkeys: bool = True
    groups: Mapping[str, str] = field(default_factory=dict)

    def of(self, way: Way) -> tuple[bool, bool]:
        """Whether a message is signed with DKIM, and with DomainKeys."""
        dkim, domainkeys = self.dkim, self.domainkeys
        if self.scopes:
            from lumilter.adapters.signatures.options import ascii_domain

            way = Way(way.binding, way.group or self.groups.get(way.binding, ""), ascii_domain(way.domain))
            for scope in sorted((each for each in self.scopes if each.holds(way)), key=lambda each: each.rank):
                dkim = dkim if scope.dkim is None else scope.dkim
                domainkeys = domainkeys if scope.domainkeys is None else scope.domainkeys
        return dkim, domainkeys
