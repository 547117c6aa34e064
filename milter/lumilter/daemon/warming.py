"""The libraries that a worker imports before it serves, because its configuration or its scripts will need them.

The law: what nothing names is not imported, so that the worker of a simple policy stays small. Whatever fails here is
for its first use to tell. A script names a function where its text does, as the manual writes it: another spelling
only costs the first session that wait.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable, Iterable, Iterator

from lumilter.adapters import xml
from lumilter.adapters.dns_lookup import LateResolver
from lumilter.adapters.http import WebClient
from lumilter.services import Services

log = logging.getLogger("lumilter.worker")

XML = ("xml.parsexml",)
WEB = ("curl.new", "msys.http.client.new")
LOOKUPS = ("msys.dnsLookup",)
CHECKS = (
    "msys.validate.opendkim.verify", "msys.validate.dkim.get_verify_results", "msys.validate.dkim.reflect",
    "msys.validate.openarc.verify", "msys.validate.openarc.sign", "msys.validate.openarc.seal",
)  # fmt: skip
SIGNS = (
    "msys.validate.opendkim.sign", "msys.validate.dk.sign", "msys.validate.dkim.sign", "msys.validate.dkim.reflect",
    "msys.validate.openarc.sign", "msys.validate.openarc.seal",
)  # fmt: skip

_KEYS = (
    *(
        "cryptography.exceptions",
        "cryptography.hazmat.primitives.hashes",
        "cryptography.hazmat.primitives.serialization",
    ),
    *(f"cryptography.hazmat.primitives.asymmetric.{name}" for name in ("ed25519", "padding", "rsa")),
)
_SIGNATURES = "lumilter.adapters.signatures"
_SIGNING = (*_KEYS, *(f"{_SIGNATURES}.{name}" for name in ("domainkeys_options", "options", "private_keys", "signing")))
_CHECKING = (
    *_KEYS,
    *("authres.dmarc", "dkim.crypto", "dkim.util", "spf"),
    *(f"{_SIGNATURES}.{name}" for name in ("authentication", "chain", "verification")),
)


def warm(services: Services, sources: Iterable[bytes]) -> None:
    """Import. sources: of the scripts."""
    texts = tuple(sources)

    def named(functions: tuple[str, ...]) -> bool:
        return any(function.encode() in text for function in functions for text in texts)

    checks = services.signatures.methods is not None or named(CHECKS)
    _attempt("the datasources' drivers", services.datasources.load)
    if services.mail.configured:
        _attempt("smtplib", functools.partial(importlib.import_module, "lumilter.adapters.smtp_session"))
    if checks or named(LOOKUPS):
        _load(services.resolver)
    if named(WEB):
        _load(services.web)
    if named(XML):
        _attempt("lxml", xml.load)
    for module in _modules(services.signatures.signs or named(SIGNS), checks):
        _attempt(module, functools.partial(importlib.import_module, module))


def _attempt(what: str, load: Callable[[], object]) -> None:
    try:
        load()
    except Exception as error:
        log.debug("%s can't be loaded yet: %s", what, error)


def _load(service: object) -> None:
    if isinstance(service, LateResolver | WebClient):  # another one has nothing to load
        _attempt(type(service).__name__, service.load)


def _modules(signs: bool, checks: bool) -> Iterator[str]:
    if signs:
        yield from _SIGNING
    if checks:
        yield from _CHECKING
