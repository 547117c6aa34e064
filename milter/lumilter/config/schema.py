"""Every configuration key, declared once with its kind, default and meaning.

The law: what a key means is said here and nowhere else; the checks, conf/lumilter.toml and the manual are derived.
Instances are immutable; a reload makes a new Config.
"""

# ruff: noqa: RUF009 -- key(), table() and tables() return dataclasses.field()

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from lumilter.config.address import MailServer, SocketAddress
from lumilter.config.declare import key, table, tables
from lumilter.config.kinds import (
    BOOLEAN,
    DOMAIN,
    IP,
    MAIL_SERVER,
    MODE,
    NETWORK,
    NEXTHOP,
    SERVER,
    SIZE,
    SOCKET,
    STRINGS,
    TEMPLATE,
    TEXT,
    TRANSPORT,
    UNIX_SOCKET,
    Kind,
    Network,
    choice,
    got,
    integer,
    list_of,
    optional,
    seconds,
)
from lumilter.config.sections.authentication import Authentication, Spf
from lumilter.config.sections.datasources import Datasource
from lumilter.config.sections.files import Files
from lumilter.config.sections.http import Http
from lumilter.config.sections.running import Pool, Timers
from lumilter.config.sections.scanners import Antivirus, Engines, Scanner
from lumilter.config.sections.signatures import Dkim, DkimDomain
from lumilter.config.sections.state import InboundAudit, Redis, Series, State


def _target(value: object) -> object:
    if value != "stderr" and not (isinstance(value, str) and value.startswith("/")):
        raise ValueError(f'expected "stderr" or an absolute path, got {got(value)}')
    return TEXT.read(value)


ACTION = choice("tempfail", "accept", "reject")
AS_ERROR = choice("on_error", "tempfail", "accept", "reject")
"""on_error: as [policy] on_error says."""


@dataclass(frozen=True, slots=True)
class Milter:
    """The milter socket: where the MTA finds lumilter."""

    socket: SocketAddress = key(
        SOCKET,
        'Where to listen: "unix:/path", "inet:port@host" or "inet6:port@host"; Postfix\'s "inet:host:port" is read '
        "too. A Unix socket is faster. A chrooted smtpd (Debian's default) sees only what is below Postfix's queue "
        "directory, and is told the path from there.",
        "unix:/run/lumilter/milter.sock",
    )
    socket_mode: int = key(MODE, "Permissions of a Unix socket.", "0660")
    socket_group: str = key(
        TEXT,
        "Group that a Unix socket is given to, so that the MTA may connect; empty leaves it.",
        "",
        example="postfix",
    )
    workers: int = key(
        integer(1),
        "Worker processes, which share the socket. Each has a Lua state of its own: what scripts keep in globals "
        "exists once in every worker; for timers see [timers] workers.",
        1,
    )
    wire: str = key(
        choice("python", "libmilter"),
        'Who speaks the milter protocol: "python" is lumilter itself, "libmilter" the C library through pymilter, '
        "which is slower, cannot write 8-bit header values and does not take 8-bit HELO and header names.",
        "python",
    )
    timeout: float = key(
        seconds(1),
        "Seconds that the MTA may be silent on a connection before it is given up (libmilter's timeout).",
        7210,
    )


@dataclass(frozen=True, slots=True)
class Workers:
    """When worker processes are replaced. A new one takes sessions before the old one stops to."""

    stuck: float = key(
        seconds(1),
        "Seconds without a sign of life after which a worker is killed and replaced. Its sessions end without an "
        "answer, as the MTA's milter_default_action or F= flag decides. Below systemd's WatchdogSec, which would "
        "restart the whole daemon.",
        30,
    )
    max_rss: int = key(SIZE, "Resident memory of a worker beyond which it is replaced; 0 is no limit.", "1G")
    max_messages: int = key(integer(0), "Messages after which a worker is replaced; 0 is never.", 0)
    max_age: float = key(seconds(0), "Seconds after which a worker is replaced; 0 is never.", 0)
    drain: float = key(
        seconds(0),
        "Seconds that the open sessions of a replaced worker, or of the scripts before a reload, are given to end.",
        3600,
    )
    stop: float = key(seconds(0), "Seconds that open sessions are given when the daemon is told to end.", 30)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken on, and what happens to mail beyond it; each time it does is counted in the metrics.

    What one hook may use is in [lua], what a lookup may in [dns].
    """

    sessions: int = key(integer(1), "Connections of the MTA that one worker serves at the same time.", 1000)
    on_sessions: str = key(ACTION, "What becomes of connections beyond that.", "tempfail")
    message_size: int = key(SIZE, "Largest message that scripts judge; 0 is no limit but the MTA's own.", 0)
    on_message_size: str = key(ACTION, "What becomes of larger ones.", "tempfail")
    headers: int = key(SIZE, "Memory for the headers of one message, which are never in a file; 0 is no limit.", "64M")
    on_headers: str = key(ACTION, "What becomes of messages with more.", "tempfail")
    memory_body: int = key(SIZE, "Size of a body above which it is kept in a file instead of in memory.", "1M")
    spool: str = key(
        TEXT,
        "Directory of these files, which have no name in it; empty is the system's for temporary files.",
        "",
        example="/var/lib/lumilter",
        path=True,
    )
    lookups: int = key(
        integer(1),
        "Lookups (DNS, scanners) of one worker at the same time; more wait, within their hook's deadline.",
        256,
    )
    on_deadline: str = key(
        AS_ERROR,
        'What becomes of mail whose hook passed [lua] deadline; "on_error" is as for script errors.',
        "on_error",
    )
    on_instructions: str = key(AS_ERROR, "What becomes of mail whose hook passed [lua] instructions.", "on_error")
    on_memory: str = key(AS_ERROR, "What becomes of mail whose hook ran into [lua] max_memory.", "on_error")


@dataclass(frozen=True, slots=True)
class Lua:
    """The scripts' Lua: where it finds modules, and how much it may use."""

    path: tuple[str, ...] = key(
        list_of(TEMPLATE),
        'Where `require` and a script\'s `source` look for a module; "?" is its name with dots as slashes. '
        "Relative paths start at this file's directory.",
        ["/etc/lumilter/lua/?.lua"],
        path=True,
    )
    max_memory: int = key(SIZE, "Memory of the Lua state of a worker; 0 is no limit.", "256M")
    instructions: int = key(
        integer(0),
        "Lua instructions that one hook may use before it is stopped as runaway; 0 is no limit.",
        100_000_000,
    )
    deadline: float = key(
        seconds(0),
        "Seconds of wall clock that one hook may take, its waits included, before it is stopped; 0 is no limit.",
        60,
    )
    jit: bool = key(
        BOOLEAN,
        "Turn LuaJIT's compiler on. Faster for scripts that compute, but then neither `instructions` nor `deadline` "
        "stops a loop that was compiled.",
        False,
    )
    allow: tuple[str, ...] = key(
        list_of(choice("ffi", "io.popen", "os.execute")),
        'Of "ffi", "io.popen" and "os.execute", what scripts may use.',
        [],
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """What becomes of mail when a script fails, and of scripts that ask to be called again."""

    on_error: str = key(
        ACTION,
        "What a script error does to the mail at hand: tempfail (4xx, the client comes back), accept or reject (5xx).",
        "tempfail",
    )
    on_error_text: str = key(TEXT, "The text of that 4xx or 5xx.", "local policy error")
    again_interval: float = key(
        seconds(0.001), "Seconds until a hook that returned VALIDATE_AGAIN is called again.", 1.0
    )
    again_limit: float = key(
        seconds(0), "Seconds of such pauses in one phase, after which the hook has failed (on_error).", 60
    )


@dataclass(frozen=True, slots=True)
class Dns:
    """Lookups made by scripts."""

    servers: tuple[str, ...] = key(
        list_of(SERVER), "IP addresses of name servers; empty takes the system's.", [], example=["127.0.0.1"]
    )
    timeout: float = key(seconds(0.001), "Seconds that a lookup may take in all, retries included.", 5.0)
    cache_entries: int = key(integer(0), "Answers that are kept until their TTL ends; 0 keeps none.", 10_000)


@dataclass(frozen=True, slots=True)
class Pcre:
    """What one match of msys.pcre may use, so that no message makes a pattern run on."""

    match_limit: int = key(
        integer(1), "Calls of the matching function within one match (PCRE2's match limit).", 1_000_000
    )
    depth_limit: int = key(integer(1), "Depth of backtracking within one match (PCRE2's depth limit).", 250_000)
    heap_limit: int = key(SIZE, "Memory for backtracking within one match (PCRE2's heap limit).", "20M")


@dataclass(frozen=True, slots=True)
class Log:
    """Where lumilter and what scripts print are logged."""

    format: str = key(choice("text", "json"), '"text", or "json": one object a line.', "text")
    target: str = key(
        Kind('"stderr" or an absolute path', _target),
        '"stderr" (systemd\'s journal keeps it), or a file that is appended to.',
        "stderr",
    )
    level: str = key(choice("debug", "info", "warning", "error"), "The least severe that is logged.", "info")
    slow_hook: float = key(seconds(0), "Seconds above which a hook is logged with script and line; 0 logs none.", 1.0)


@dataclass(frozen=True, slots=True)
class Control:
    """The socket of `lumilter ctl`. Who may connect to it may do what the commands do."""

    socket: SocketAddress | None = key(
        optional(UNIX_SOCKET),
        'A Unix socket, "unix:/path". Empty is the path of the milter socket with ".control" behind it, or none where '
        "that is not a Unix socket.",
        "",
        example="unix:/run/lumilter/control.sock",
    )
    socket_mode: int = key(MODE, "Permissions of the socket.", "0600")
    socket_group: str = key(TEXT, "Group that the socket is given to; empty leaves it.", "", example="adm")


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures for Prometheus, by HTTP at /metrics."""

    socket: SocketAddress | None = key(
        optional(SOCKET),
        'Where they are served, such as "inet:9712@127.0.0.1" or "unix:/path"; empty is nowhere.',
        "",
        example="inet:9712@127.0.0.1",
    )
    socket_mode: int = key(MODE, "Permissions of a Unix socket.", "0660")
    socket_group: str = key(TEXT, "Group that a Unix socket is given to; empty leaves it.", "", example="prometheus")


@dataclass(frozen=True, slots=True)
class Shadow:
    """Policies on live mail that log what they would do and change nothing."""

    enabled: bool = key(BOOLEAN, "For every client.", False)
    networks: tuple[Network, ...] = key(
        list_of(NETWORK), "For the clients of these networks only.", [], example=["192.0.2.0/24"]
    )


@dataclass(frozen=True, slots=True)
class Record:
    """Sessions saved to files, for `lumilter replay`. They hold whole messages."""

    directory: str = key(
        TEXT, "Where they are saved; empty saves none.", "", example="/var/lib/lumilter/sessions", path=True
    )
    networks: tuple[Network, ...] = key(
        list_of(NETWORK),
        "The clients whose sessions are saved from the start; `lumilter ctl record` asks for others.",
        [],
        example=["192.0.2.0/24"],
    )


@dataclass(frozen=True, slots=True)
class Inject:
    """Mail that lumilter sends itself: what scripts inject and forward, and messages for recipients that part ways."""

    server: MailServer | None = key(
        optional(MAIL_SERVER),
        'Who takes it: a listener of the MTA that asks no milter, such as "smtp:inet:10026@127.0.0.1" or '
        '"lmtp:unix:/path" (`lumilter postfix-config` prints one). Empty: scripts that need it get an error.',
        "",
        example="smtp:inet:10026@127.0.0.1",
    )
    timeout: float = key(seconds(0.1), "Seconds that the server may take for one answer.", 60)
    deadline: float = key(
        seconds(1),
        "Seconds that all messages for parted recipients may take, while the MTA waits for the answer to the original "
        "(Postfix: milter_content_timeout, 300 s).",
        240,
    )
    outbox: str = key(
        TEXT,
        "Directory in which mail of scripts waits until the server has taken it; what is in it survives a crash.",
        "/var/lib/lumilter/outbox",
        path=True,
    )
    retry: float = key(seconds(1), "Seconds until the server is tried again; doubled each time, up to an hour.", 30)
    give_up: float = key(
        seconds(1), "Seconds after which mail that nobody takes is set aside in `failed`, and logged.", 432000
    )
    hops: int = key(
        integer(1), "How many times lumilter may have sent a message, or what it came from, before that is a loop.", 8
    )


@dataclass(frozen=True, slots=True)
class Routing:
    """Where messages leave: what bindings and routing domains become in Postfix (`lumilter postfix-config`)."""

    enabled: bool = key(
        BOOLEAN,
        "The MTA has the lines that `lumilter postfix-config` prints. Without them, scripts that route get an error.",
        False,
    )
    transport: str = key(TRANSPORT, "The Postfix transport of messages with a routing domain and no binding.", "smtp")
    priority: str | None = key(
        optional(TRANSPORT),
        "The Postfix transport of messages with msg.priority = 1 and no binding. Empty: Postfix knows no priorities, "
        "and the log says once that a script asked for one.",
        "",
        example="smtp-priority",
    )


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding, by which messages leave from an address of its own; `default` exists without being declared."""

    name: str = key(TRANSPORT, "What scripts call it.", example="mta1")
    address: str | None = key(optional(IP), "The source address of its connections.", "", example="192.0.2.10")
    helo: str | None = key(optional(DOMAIN), "The name that it says in EHLO.", "", example="mta1.example.com")
    group: str = key(TEXT, "The binding group that it belongs to.", "", example="marketing")
    transport: str | None = key(
        optional(TRANSPORT),
        'Its Postfix transport; empty is the name with "binding-" before it, in lower case.',
        "",
        example="binding-mta1",
    )


@dataclass(frozen=True, slots=True)
class Route:
    """A domain that is not found by its MX records, as `gateway` sets it in Momentum's domain stanza."""

    domain: str = key(
        DOMAIN,
        "A routing domain, or the domain of recipients whose messages have a binding or a priority.",
        example="sms.example.com",
    )
    nexthop: str = key(NEXTHOP, "The next hop, as Postfix writes it.", example="[192.0.2.30]:2525")
    transport: str | None = key(
        optional(TRANSPORT), "A Postfix transport other than the binding's.", "", example="lmtp"
    )


@dataclass(frozen=True, slots=True)
class Momentum:
    """An existing Momentum configuration to take the scripts from."""

    config: str = key(
        TEXT,
        "A file in Momentum's own syntax, such as ecelerity.conf: its scriptlet stanzas are read after the "
        "[[script]] tables below, its directory is searched for their sources, everything else in it is skipped. "
        "Empty reads none.",
        "",
        example="/etc/lumilter/ecelerity.conf",
        path=True,
    )


@dataclass(frozen=True, slots=True)
class Context:
    """Connection context variables for clients of a network, as `context` of a Momentum listener's Peer sets them."""

    set: Mapping[str, str] = key(STRINGS, "The variables.", example={"trusted_mx": "yes"})
    network: Network | None = key(
        optional(NETWORK),
        "The clients. Empty is every client. Where networks overlap, the more specific one wins for each variable.",
        "",
        example="10.0.0.0/8",
    )


@dataclass(frozen=True, slots=True)
class Script:
    """A policy script; they run in the order in which they stand here."""

    name: str = key(TEXT, "How the log and the tests name it.", example="policy")
    source: str = key(
        TEXT,
        "A file, if it ends in .lua or begins with a slash; otherwise a module name that is looked up on [lua] path.",
        example="/etc/lumilter/policy.lua",
    )
    file: str = ""
    """The file behind `source`, once it was found."""
    declared_at: str = ""
    """"file:line" of its declaration."""


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
    files: Files = table(Files)
    spf: Spf = table(Spf)
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
    scripts: tuple[Script, ...] = tables(Script, "script")
    file: str = ""
    warnings: tuple[str, ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def control_address(self) -> SocketAddress | None:
        """Where `lumilter ctl` finds the daemon; None is nowhere."""
        if self.control.socket is not None:
            return self.control.socket
        if self.milter.socket.family != "unix":
            return None
        return SocketAddress("unix", path=self.milter.socket.path + ".control")

    def connection_context(self, client: str) -> dict[str, str]:
        """The variables that a new session starts with. client: its IP address, or anything else if it has none."""
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            address = None
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        matching = [c for c in self.contexts if c.network is None or (address is not None and address in c.network)]
        matching.sort(key=lambda c: -1 if c.network is None else c.network.prefixlen)
        return {name: value for c in matching for name, value in c.set.items()}
