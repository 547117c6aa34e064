"""lumilter: a milter daemon that runs Momentum (Ecelerity) Lua policy scripts behind Postfix and Sendmail."""

__version__ = "0.1.0"
