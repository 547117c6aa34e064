"""Where lumilter looks if it is not told."""

from __future__ import annotations

DEFAULT_CONFIG = "/etc/lumilter/lumilter.toml"
