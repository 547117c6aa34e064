"""`lumilter serve`: the daemon, in the foreground."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import socket

from lumilter import config
from lumilter.config import SocketAddress
from lumilter.daemon import log
from lumilter.daemon.engine import Engine
from lumilter.daemon.setup import setup_of
from lumilter.errors import ConfigError

DEFAULT_CONFIG = "/etc/lumilter/lumilter.toml"


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
    from lumilter.wire.serve import serve

    settings = config.load(options.config)
    if options.socket:
        try:
            address = SocketAddress.parse(options.socket)
        except ValueError as error:
            raise ConfigError(f"-p: {error}") from None
        settings = dataclasses.replace(settings, milter=dataclasses.replace(settings.milter, socket=address))
    log.configure(settings.log.format == "json", settings.log.target, settings.log.level)
    engine = Engine(setup_of(settings))
    milter = settings.milter

    def ready() -> None:
        logging.getLogger("lumilter").info("serving on %s with %d modules", milter.socket, len(engine.host.modules))
        _notify("READY=1")

    try:
        cut = serve(
            milter.socket,
            engine,
            mode=milter.socket_mode,
            group=milter.socket_group,
            timeout=milter.timeout,
            on_ready=ready,
        )
    finally:
        engine.stop()
    logging.shutdown()
    os._exit(1 if cut else 0)  # a return would wait for lookups whose sessions are gone, and for libmilter's threads


def _notify(state: str) -> None:
    """Tell systemd (sd_notify(3)); does nothing elsewhere."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)
