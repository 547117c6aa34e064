"""Every configuration key, declared once with its kind, default and meaning.

The law: what a key means is said in `sections` and nowhere else; the checks, conf/lumilter.toml and the manual are
derived. Instances are immutable; a reload makes a new Config.
"""

# ruff: noqa: RUF009 -- key(), table() and tables() return dataclasses.field()

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from lumilter.config.address import SocketAddress
from lumilter.config.declare import table, tables
from lumilter.config.sections.authentication import Authentication, SenderId, Spf
from lumilter.config.sections.daemon import Limits, Milter, Workers
from lumilter.config.sections.datasources import Datasource
from lumilter.config.sections.files import Files
from lumilter.config.sections.http import Http
from lumilter.config.sections.lookups import Dns, Pcre
from lumilter.config.sections.mail import Binding, Inject, Route, Routing
from lumilter.config.sections.observing import Control, Log, Metrics, Record, Shadow
from lumilter.config.sections.running import Pool, Timers
from lumilter.config.sections.scanners import Antivirus, Engines, Scanner
from lumilter.config.sections.scripts import Context, Lua, Momentum, Policy, Script
from lumilter.config.sections.signatures import DkDomain, Dkim, DkimDomain, DomainKeys, SigningScope
from lumilter.config.sections.state import InboundAudit, Redis, Series, State


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration. file: where it was read, "" without one.

    warnings: what is probably a mistake; notes: what was read and has no effect here. Each begins with "file:line: ".
    """

    milter: Milter = table(Milter)
    workers: Workers = table(Workers)
    limits: Limits = table(Limits)
    lua: Lua = table(Lua)
    policy: Policy = table(Policy)
    dns: Dns = table(Dns)
    pcre: Pcre = table(Pcre)
    http: Http = table(Http)
    dkim: Dkim = table(Dkim)
    domainkeys: DomainKeys = table(DomainKeys)
    files: Files = table(Files)
    spf: Spf = table(Spf)
    senderid: SenderId = table(SenderId)
    authentication: Authentication = table(Authentication)
    log: Log = table(Log)
    control: Control = table(Control)
    metrics: Metrics = table(Metrics)
    shadow: Shadow = table(Shadow)
    record: Record = table(Record)
    inject: Inject = table(Inject)
    routing: Routing = table(Routing)
    state: State = table(State)
    redis: Redis = table(Redis)
    inbound_audit: InboundAudit = table(InboundAudit)
    antivirus: Antivirus = table(Antivirus)
    engines: Engines = table(Engines)
    momentum: Momentum = table(Momentum)
    timers: Timers = table(Timers)
    pools: tuple[Pool, ...] = tables(Pool, "pool")
    scanners: tuple[Scanner, ...] = tables(Scanner, "scanner")
    contexts: tuple[Context, ...] = tables(Context, "context")
    bindings: tuple[Binding, ...] = tables(Binding, "binding")
    routes: tuple[Route, ...] = tables(Route, "route")
    datasources: tuple[Datasource, ...] = tables(Datasource, "datasource")
    series: tuple[Series, ...] = tables(Series, "series")
    dkim_domains: tuple[DkimDomain, ...] = tables(DkimDomain, "dkim_domain")
    dk_domains: tuple[DkDomain, ...] = tables(DkDomain, "dk_domain")
    signing_scopes: tuple[SigningScope, ...] = tables(SigningScope, "signing_scope")
    scripts: tuple[Script, ...] = tables(Script, "script")
    file: str = ""
    warnings: tuple[str, ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def signs_dkim(self) -> bool:
        """Whether it says with what DKIM signatures are made."""
        return bool(self.dkim.key or self.dkim.selector or self.dkim_domains)

    @property
    def signs_domainkeys(self) -> bool:
        """The same for DomainKeys."""
        return bool(self.domainkeys.key or self.domainkeys.selector or self.dk_domains)

    def control_address(self) -> SocketAddress | None:
        """Where `lumilter ctl` finds the daemon; None is nowhere."""
        if self.control.socket is not None:
            return self.control.socket
        if self.milter.socket.family != "unix":
            return None
        return SocketAddress("unix", path=self.milter.socket.path + ".control")

    def connection_context(self, client: str) -> dict[str, str]:
        """The variables that a new session starts with. client: its IP address, or anything else if it has none."""
        if not self.contexts:
            return {}
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            address = None
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        matching = [c for c in self.contexts if c.network is None or (address is not None and address in c.network)]
        matching.sort(key=lambda c: -1 if c.network is None else c.network.prefixlen)
        return {name: value for c in matching for name, value in c.set.items()}
