"""Scripts without a daemon: where they come from, and DNS from fixtures; HTTP is refused, files are copies.

The law: nothing here reaches the network, or changes anything that stays, unless --live asks for it.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

from lumilter import config
from lumilter.adapters.dns_lookup import Lookup
from lumilter.adapters.http import NoWeb
from lumilter.calls import Here
from lumilter.cli.places import DEFAULT_CONFIG
from lumilter.cli.unsent import Unsent
from lumilter.daemon.engine import Observer, Setup
from lumilter.daemon.setup import setup_of


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Declare -c, -s, --fixtures and --live."""
    parser.add_argument("-c", "--config", metavar="FILE", help=f"default: {DEFAULT_CONFIG}, unless -s is given")
    parser.add_argument(
        "-s", "--script", action="append", default=[], metavar="SCRIPT", help="a script to load; repeatable"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--fixtures", metavar="FILE", help="answer DNS lookups from this JSON file")
    source.add_argument(
        "--live",
        action="store_true",
        help="make real DNS lookups and HTTP requests, ask scanners, ask and change datasources, and change files",
    )


def offline_setup(
    options: argparse.Namespace,
    print_line: Callable[[Here, str], None],
    observe: Observer = lambda session, event, outcome: None,
) -> Setup:
    """The Setup that the options ask for; scripts named with -s run after the configuration's."""
    logging.getLogger().setLevel(logging.CRITICAL)
    settings = load(options)
    resolver: Lookup | None = None
    if not options.live:
        from lumilter.adapters.dns import FixtureResolver  # the daemon's verbs do without dnspython

        resolver = FixtureResolver(Path(options.fixtures) if options.fixtures else {})
    alone = bool(options.script) and not options.config
    mail = Unsent(settings.inject.server is not None or alone, settings.inject.hops)
    web = None if options.live else NoWeb("no HTTP requests are made here; lumilter test makes them with --live")
    return setup_of(settings, resolver, print_line, observe, mail, web, offline=not options.live)


def load(options: argparse.Namespace) -> config.Config:
    """The configuration that -c and -s name."""
    if not options.script:
        return config.load(options.config or DEFAULT_CONFIG)
    extra = config.from_scripts(options.script)
    if not options.config:
        return extra
    settings = config.load(options.config)
    lua = dataclasses.replace(settings.lua, path=tuple(dict.fromkeys((*settings.lua.path, *extra.lua.path))))
    return dataclasses.replace(settings, lua=lua, scripts=(*settings.scripts, *extra.scripts))
