"""The configuration: TOML, and the scriptlet stanzas of a Momentum configuration, as immutable dataclasses.

The law: every key is declared once, in `schema`. `load(path)` and `from_scripts(files)` give a Config or a ConfigError.
"""

from lumilter.config.address import SocketAddress
from lumilter.config.load import load
from lumilter.config.schema import Config
from lumilter.config.scripts import find_module, from_scripts
from lumilter.config.sections.scripts import Script

__all__ = ["Config", "Script", "SocketAddress", "find_module", "from_scripts", "load"]
