"""From a configuration file to a Config.

The law: after this every script that is configured exists, every path is absolute, and whatever is wrong was raised as
ConfigError with its file and line.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from lumilter.config.bind import Source, bind
from lumilter.config.lines import key_lines
from lumilter.config.schema import Config
from lumilter.config.scripts import with_scripts
from lumilter.config.sections import scanners, signatures
from lumilter.errors import ConfigError

_AT_LINE = re.compile(r"(.*?) \(at line (\d+), column \d+\)", re.DOTALL)


def load(path: str | os.PathLike[str]) -> Config:
    """Read a configuration file. Raises ConfigError."""
    file = os.fspath(path)
    data, source = _parse(file)
    config = with_scripts(replace(bind(Config, data, source), file=file), source)
    scanners.check(config.scanners, config.antivirus, config.engines, source)
    bindings = {"default", *(binding.name for binding in config.bindings)}
    groups = {binding.group for binding in config.bindings}
    signs = {"opendkim_sign": config.signs_dkim, "domainkeys": config.signs_domainkeys}
    signatures.check(config.signing_scopes, bindings, groups, signs, source)
    if config.scripts:
        return config
    return replace(config, warnings=(f"{file}:1: no script is configured: every message passes unchanged",))


def _parse(file: str) -> tuple[dict[str, Any], Source]:
    try:
        raw = Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", file) from None
    except ValueError as error:  # a NUL in the name
        raise ConfigError(f"can't be read: {error}", file.replace("\0", "?")) from None
    try:
        text = raw.decode()
        return tomllib.loads(text), Source(file, key_lines(text))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"expected UTF-8, got the byte 0x{raw[error.start]:02x}", file, line) from None
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.fullmatch(str(error))
        message, line = (found[1], int(found[2])) if found else (str(error), len(raw.splitlines()))
        raise ConfigError(message, file, line) from None
    except RecursionError:
        raise ConfigError("lists or tables are nested too deeply", file) from None
