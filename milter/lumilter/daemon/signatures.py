"""From the configuration to what signs and checks mail.

The law: what is wrong with a key is found at start where that can be, not when mail waits.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lumilter.adapters.signatures.errors import KeyUnreadable
from lumilter.adapters.signatures.service import Signatures
from lumilter.config import Config
from lumilter.errors import ConfigError
from lumilter.session.checking import Checking

if TYPE_CHECKING:
    from lumilter.adapters.signatures.authentication import Methods
    from lumilter.adapters.signatures.options import Signing
    from lumilter.adapters.signatures.verification import Rules


def signatures_of(config: Config, offline: bool = False) -> Signatures:
    """The service. offline: keys may be out of reach. Raises ConfigError."""
    dkim, domains, spf, checks = config.dkim, config.dkim_domains, config.spf, config.authentication
    ident = checks.authserv_id or socket.gethostname().lower()
    signs = bool(dkim.key or dkim.selector or domains)
    names = [domain.domain.lower() for domain in domains]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two [[dkim_domain]] tables for {name}", config.file)

    def rules() -> Rules:
        from lumilter.adapters.signatures.verification import Rules

        return Rules(dkim.max_signatures, dkim.min_key_bits, dkim.accept_sha1, dkim.timeout)

    def signing() -> Signing:
        from lumilter.adapters.signatures.fields import names_of
        from lumilter.adapters.signatures.options import ForDomain, General, Signing

        return Signing(
            General(
                selector=dkim.selector,
                key=dkim.key,
                header_canon=dkim.header_canon,
                body_canon=dkim.body_canon,
                digest=dkim.digest,
                headers=names_of(dkim.headerlist),
                oversigned=names_of(dkim.oversign_headerlist),
                skipped=names_of(dkim.skip_headerlist),
                identity=dkim.identity,
                length=dkim.body_length_limit,
                lifetime=dkim.lifetime * 3600,
                copy_headers=dkim.copy_headers,
                condition=dkim.sign_condition,
            ),
            {
                domain.domain.lower(): ForDomain(
                    sign=domain.sign,
                    base_domain=domain.base_domain or "",
                    selector=domain.selector,
                    key=domain.key,
                    header_canon=domain.header_canon or "",
                    body_canon=domain.body_canon or "",
                    digest=domain.digest,
                    length=domain.body_length_limit,
                    condition="" if domain.sign_condition == "none" else domain.sign_condition,
                )
                for domain in domains
            },
        )

    def methods() -> Methods:
        from lumilter.adapters.signatures.authentication import Methods, SpfRules

        own = None
        if spf.enabled:
            texts = {
                "fail": spf.fail_fallback_string,
                "softfail": spf.softfail_fallback_string,
                "nxdomain": spf.nxdomain_override_string,
                "temperror": spf.temperror_override_string,
            }
            own = SpfRules(
                spf.default_rule, spf.add_headers, spf.add_authentication_results, spf.context_variable, texts
            )
        return Methods(ident, own, checks.dkim, checks.dmarc, checks.domainkeys, checks.timeout)

    made = Signatures(
        rules,
        signing if signs else None,
        unsigned=dkim.on_error == "accept",
        methods=methods if checking_of(config) != Checking() else None,
    )
    if signs and not offline:
        _read(made, config)
    return made


def checking_of(config: Config) -> Checking:
    """What sessions have checked, and when."""
    spf, checks = config.spf, config.authentication
    sender = spf.enabled or checks.dmarc
    if not sender and not checks.dkim and not checks.domainkeys:
        return Checking()
    return Checking(("rcpt" if spf.delay_check else "mail") if sender else "", True, checks.unless)


def _read(made: Signatures, config: Config) -> None:
    """Read every key that is named by a whole path."""
    for problem in unreadable(made, config):
        raise ConfigError(problem, config.file)


def unreadable(made: Signatures, config: Config) -> Iterator[str]:
    """What is wrong with keys that are named by a whole path, and with which the daemon would not start."""
    for path in sorted({config.dkim.key, *(domain.key for domain in config.dkim_domains)}):
        if path and "%{" not in path:
            try:
                made.keys.of_file(path)
            except KeyUnreadable as error:
                yield str(error)
