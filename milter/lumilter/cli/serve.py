"""`lumilter serve`: the daemon, in the foreground."""

from __future__ import annotations

import argparse
import dataclasses
import logging

from lumilter import config
from lumilter.cli.places import DEFAULT_CONFIG
from lumilter.config import Config, SocketAddress
from lumilter.daemon import systemd
from lumilter.daemon.operations import Operations
from lumilter.daemon.supervisor import Supervisor
from lumilter.errors import ConfigError


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("serve", help="run the daemon in the foreground")
    parser.add_argument("-c", "--config", default=DEFAULT_CONFIG, metavar="FILE", help="default: %(default)s")
    parser.add_argument(
        "-p", "--socket", metavar="SOCKET", help="listen here instead (Postfix's or Sendmail's spelling)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM; 0 after a clean end, 1 if connections had to be cut."""
    address = _socket(options.socket)

    def load() -> Config:
        settings = config.load(options.config)
        if address:
            settings = dataclasses.replace(settings, milter=dataclasses.replace(settings.milter, socket=address))
        return settings

    supervisor = Supervisor(load)
    operations = Operations(supervisor)

    def ready() -> None:
        logging.getLogger("lumilter").info("serving on %s", supervisor.config.milter.socket)
        systemd.notify("READY=1")
        operations.feed_watchdog()

    operations.open()
    try:
        return supervisor.run(ready)
    finally:
        operations.close()


def _socket(text: str | None) -> SocketAddress | None:
    try:
        return SocketAddress.parse(text) if text else None
    except ValueError as error:
        raise ConfigError(f"-p: {error}") from None
