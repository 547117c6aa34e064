"""From a configuration to what an engine is made of.

The law: every configuration key that matters at run time is read here, once.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import socket
from collections.abc import Callable

from lumilter import __version__
from lumilter.adapters import files
from lumilter.adapters.dns_lookup import LateResolver, Lookup
from lumilter.adapters.http import Settings, Web, WebClient
from lumilter.adapters.pcre import Limits as PcreLimits
from lumilter.calls import Here
from lumilter.config import Config
from lumilter.config.sections.mail import Binding
from lumilter.config.sections.observing import Shadow
from lumilter.daemon import log
from lumilter.daemon.datasources import datasources_of
from lumilter.daemon.engine import Engine, Observer, Setup
from lumilter.daemon.live import LiveSettings
from lumilter.daemon.mail import Mailer
from lumilter.daemon.scanning import own_scripts, scanners_of
from lumilter.daemon.shared_state import rules_of
from lumilter.daemon.signatures import checking_of, signatures_of
from lumilter.daemon.trace import is_of
from lumilter.host.host import LuaSettings, Script
from lumilter.host.pools import PoolSettings
from lumilter.host.tasks import Limits
from lumilter.services import Mail, NoMail, Services
from lumilter.session.routing import Routing
from lumilter.session.verdict import OnError, Options
from lumilter.state.state import State

_UNLIMITED = 2**52
"""Lua instructions that no hook can use up, still exact as a Lua number."""


def setup_of(
    config: Config,
    resolver: Lookup | None = None,
    print_line: Callable[[Here, str], None] = log.script_line,
    observe: Observer = log.observe,
    mail: Mail | None = None,
    web: Web | None = None,
    state: State | None = None,
    offline: bool = False,
) -> Setup:
    """The Setup for a configuration. resolver, mail, web: instead of the configured servers. state: None is in memory.

    offline: no datasource reaches the network, no file is changed, no scanner is asked.
    """
    lua, dns, pcre = config.lua, config.dns, config.pcre
    hostname = socket.gethostname().lower()
    web, opened = web or WebClient(web_settings(config)), files_of(config, offline)
    services = Services(
        resolver=resolver or LateResolver(servers=dns.servers, cache_entries=dns.cache_entries),
        dns_timeout=dns.timeout,
        pcre=PcreLimits(pcre.match_limit, pcre.depth_limit, pcre.heap_limit // 1024),
        hostname=hostname,
        mail=mail or (Mailer(config.inject, hostname) if config.inject.server else NoMail()),
        web=web,
        files=opened,
        datasources=datasources_of(config.datasources, opened, web, offline),
        state=state or State(rules=rules_of(config)),
        scanners=scanners_of(config, offline),
        signatures=signatures_of(config, offline),
        routing=routing_of(config),
        settings=LiveSettings(config),
    )
    return Setup(
        scripts=[
            *own_scripts(config),
            *(
                Script(each.name, each.file, "" if each.source.endswith(".lua") else each.source.replace("/", "."))
                for each in config.scripts
            ),
        ],
        lua=LuaSettings(
            lua.path,
            lua.max_memory,
            lua.jit,
            frozenset(lua.allow),
            limits=limits_of(config),
            timer_limits=timer_limits_of(config),
            pools=pools_of(config),
        ),
        options=options_of(config),
        services=services,
        peer_context=config.connection_context,
        checking=checking_of(config),
        is_shadow=_shadow(config.shadow),
        all_shadow=config.shadow.enabled,
        print_line=print_line,
        observe=observe,
    )


def files_of(config: Config, offline: bool) -> files.Files:
    """What scripts open."""
    table = config.files
    return files.Files(
        files.Settings(
            files.Limits(table.max_read),
            table.persist,
            "io.popen" in config.lua.allow,
            files.SyslogSettings(table.syslog_socket, table.syslog_ident, table.syslog_facility),
        ),
        offline,
    )


def adjust(engine: Engine, config: Config) -> None:
    """Let an engine run by what config.live.LIVE names of another configuration; open sessions keep their policy."""
    logging.getLogger().setLevel(config.log.level.upper())
    host = engine.host
    here = host.bridge.here
    host.tasks.limits, host.timers.limits = limits_of(config), timer_limits_of(config)
    host.pools.change(pools_of(config), host.tasks.limits.instructions)
    engine.setup = dataclasses.replace(engine.setup, options=options_of(config))
    here.services = dataclasses.replace(here.services, dns_timeout=config.dns.timeout)


def limits_of(config: Config) -> Limits:
    """What a hook may use."""
    return Limits(config.lua.instructions or _UNLIMITED, config.lua.deadline or math.inf)


def timer_limits_of(config: Config) -> Limits:
    """What a call of a timer may use."""
    return Limits(config.lua.instructions or _UNLIMITED, config.timers.deadline or math.inf)


def pools_of(config: Config) -> tuple[PoolSettings, ...]:
    """The pools besides Momentum's own."""
    return tuple(
        PoolSettings(pool.name, pool.concurrency, pool.backlog, pool.deadline or math.inf) for pool in config.pools
    )


def options_of(config: Config) -> Options:
    """How sessions decide where no script does."""
    return Options(
        on_error=OnError(config.policy.on_error),
        on_error_text=config.policy.on_error_text,
        on_limit={
            name: OnError(action)
            for name in ("deadline", "instructions", "memory")
            if (action := getattr(config.limits, f"on_{name}")) != "on_error"
        },
        again_interval=config.policy.again_interval,
        again_limit=config.policy.again_limit,
    )


def web_settings(config: Config) -> Settings:
    """What HTTP requests are held to."""
    http = config.http
    return Settings(
        timeout=http.timeout,
        connect_timeout=http.connect_timeout,
        max_response=http.max_response,
        max_redirects=http.max_redirects,
        connections=http.connections,
        keep=http.keep,
        ca_file=http.ca_file,
        proxy=http.proxy or "",
        no_proxy=http.no_proxy,
        deny=http.deny,
        user_agent=f"lumilter/{__version__}",
    )


def routing_of(config: Config) -> Routing:
    """Bindings and routing domains, by the names that scripts use."""
    groups: dict[str, tuple[str, ...]] = {}
    for binding in config.bindings:
        if binding.group:
            groups[binding.group] = (*groups.get(binding.group, ()), binding.name)
    return Routing(
        enabled=config.routing.enabled,
        bindings={binding.name: transport_of(binding) for binding in config.bindings},
        groups=groups,
        routes={route.domain: (route.transport or "", route.nexthop) for route in config.routes},
        transport=config.routing.transport,
        priority=config.routing.priority or "",
    )


def transport_of(binding: Binding) -> str:
    """The Postfix transport of a binding."""
    return binding.transport or f"binding-{binding.name.lower()}"


def _shadow(settings: Shadow) -> Callable[[str], bool] | None:
    """Whether a client, by its address, is in shadow; None where nobody is."""
    if settings.enabled:
        return lambda client: True
    if settings.networks:
        return lambda client: is_of(client, settings.networks)
    return None
