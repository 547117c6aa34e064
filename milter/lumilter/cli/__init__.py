"""The command line: `lumilter VERB`.

The law: a file for each verb, whose `add` declares its options and whose `run` returns the exit status. Only the file
of the verb at hand is imported: `lumilter ctl` is called often, and needs nothing of what runs scripts.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from lumilter import __version__
from lumilter.errors import ConfigError, LumilterError, ScriptError

VERBS = {
    "serve": "serve",
    "check": "check",
    "test": "test",
    "replay": "replay",
    "functions": "functions",
    "postfix-config": "postfix_config",
    "eval": "evaluate",
    "ctl": "ctl",
}
"""The file of each verb, in the order of the help."""
EX_CONFIG = 78
EX_SOFTWARE = 70


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `lumilter`; returns the exit status (sysexits.h where the verb has no other)."""
    parser = argparse.ArgumentParser(
        prog="lumilter", description="Momentum's Lua policies behind Postfix and Sendmail."
    )
    parser.add_argument("--version", action="version", version=f"lumilter {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    arguments = sys.argv[1:] if arguments is None else arguments
    wanted = [verb for verb in VERBS if verb in arguments[:1]] or VERBS
    for verb in wanted:
        importlib.import_module(f"lumilter.cli.{VERBS[verb]}").add(verbs)
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except ConfigError as error:
        return _complain(error, EX_CONFIG)
    except ScriptError as error:
        return _complain(error, EX_CONFIG if options.verb in ("serve", "check") else EX_SOFTWARE)
    except LumilterError as error:
        return _complain(error, EX_SOFTWARE)
    except BrokenPipeError:  # whoever read our output has enough of it; Python's flush at the end must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _complain(error: LumilterError, status: int) -> int:
    print(f"lumilter: {error}", file=sys.stderr)
    return status
