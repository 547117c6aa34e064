"""From the configuration to what signs and checks mail.

The law: what is wrong with a key is found at start where that can be, not when mail waits.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lumilter.adapters.signatures.errors import KeyUnreadable
from lumilter.adapters.signatures.scopes import Scope, Scopes
from lumilter.adapters.signatures.service import Signatures
from lumilter.config import Config
from lumilter.config.sections.authentication import SenderId
from lumilter.config.sections.signatures import DkDomain
from lumilter.config.sections.signatures import DomainKeys as Table
from lumilter.errors import ConfigError
from lumilter.session.checking import Checking

if TYPE_CHECKING:
    from lumilter.adapters.signatures.authentication import Methods, SenderIdRules
    from lumilter.adapters.signatures.domainkeys_options import DomainKeysSigning
    from lumilter.adapters.signatures.options import Signing
    from lumilter.adapters.signatures.verification import Rules


def signatures_of(config: Config, offline: bool = False) -> Signatures:
    """The service. offline: keys may be out of reach. Raises ConfigError."""
    dkim, domains, spf, checks = config.dkim, config.dkim_domains, config.spf, config.authentication
    ident = checks.authserv_id or socket.gethostname().lower()
    signs, old = config.signs_dkim, config.signs_domainkeys
    for table, own in (("dkim_domain", domains), ("dk_domain", config.dk_domains)):
        names = [domain.domain for domain in own]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"two [[{table}]] tables for {name}", config.file)

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
        both = _sender_id(config.senderid) if config.senderid.enabled else None
        return Methods(ident, own, checks.dkim, checks.dmarc, checks.domainkeys, checks.timeout, both)

    made = Signatures(
        rules,
        signing if signs else None,
        unsigned=dkim.on_error == "accept",
        methods=methods if checking_of(config) != Checking() else None,
        domainkeys=(lambda: _domainkeys(config)) if old else None,
        scopes=_scopes(config),
    )
    if (signs or old) and not offline:
        _read(made, config)
    return made


def checking_of(config: Config) -> Checking:
    """What sessions have checked, and when."""
    spf, checks = config.spf, config.authentication
    sender = spf.enabled or checks.dmarc or config.senderid.enabled
    if not sender and not checks.dkim and not checks.domainkeys:
        return Checking()
    return Checking(("rcpt" if spf.delay_check else "mail") if sender else "", True, checks.unless)


def _sender_id(table: SenderId) -> SenderIdRules:
    """What Sender ID is told."""
    from lumilter.adapters.signatures.authentication import SenderIdRules, SpfRules

    texts = {
        "fail": table.fail_fallback_string,
        "softfail": table.softfail_fallback_string,
        "nxdomain": table.nxdomain_override_string,
    }
    mail = SpfRules(
        table.default_rule, table.add_headers, table.add_authentication_results, table.context_variable, texts
    )
    return SenderIdRules(mail, table.default_pra_rule, table.context_pra_variable)


def _domainkeys(config: Config) -> DomainKeysSigning:
    """What is signed with DomainKeys."""
    from lumilter.adapters.signatures.domainkeys_options import DomainKeys, DomainKeysSigning
    from lumilter.adapters.signatures.fields import names_of

    def of(table: Table | DkDomain, base: str | None, condition: str | None) -> DomainKeys:
        return DomainKeys(
            table.sign, base or "", table.selector, table.key, table.canon or "", names_of(table.headerlist), condition
        )

    domains = {
        own.domain: of(own, own.base_domain, "" if own.sign_condition == "none" else own.sign_condition)
        for own in config.dk_domains
    }
    return DomainKeysSigning(of(config.domainkeys, None, config.domainkeys.sign_condition), domains)


def _scopes(config: Config) -> Scopes:
    """Whether mail is signed, by the way it leaves."""
    return Scopes(
        [
            Scope(each.binding, each.binding_group, each.domain or "", each.opendkim_sign, each.domainkeys)
            for each in config.signing_scopes
        ],
        config.dkim.sign,
        config.domainkeys.sign,
        {binding.name: binding.group for binding in config.bindings if binding.group},
    )


def _read(made: Signatures, config: Config) -> None:
    """Read every key that is named by a whole path."""
    for problem in unreadable(made, config):
        raise ConfigError(problem, config.file)


def unreadable(made: Signatures, config: Config) -> Iterator[str]:
    """What is wrong with keys that are named by a whole path, and with which the daemon would not start."""
    old = {config.domainkeys.key, *(domain.key for domain in config.dk_domains)}
    for path in sorted({config.dkim.key, *(domain.key for domain in config.dkim_domains), *old}):
        if path and "%{" not in path:
            try:
                key = made.keys.of_file(path)
            except KeyUnreadable as error:
                yield str(error)
            else:
                if path in old and key.kind != "rsa":
                    yield f"{path}: DomainKeys only knows RSA keys"
