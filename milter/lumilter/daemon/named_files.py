"""Files that the configuration names and the daemon reads when it needs them: what is wrong with them, before that.

The law: what can be read is read, nothing is changed, and nobody is asked. Those without which the daemon does not
start are told by whoever reads them then.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from lumilter.adapters.signatures.errors import KeyUnreadable
from lumilter.adapters.signatures.service import Signatures
from lumilter.adapters.tls import context_of
from lumilter.config import Config
from lumilter.errors import LumilterError

_MACROS = ("%{d}", "%{s}")


def problems(config: Config, signatures: Signatures) -> Iterator[str]:
    """What will fail, each with the table that names it."""
    redis = config.redis
    if config.http.ca_file:
        yield from _unusable("[http] ca_file", config.http.ca_file)
    if redis.server is not None and redis.tls:
        yield from _unusable("[redis] ca", redis.ca)
        yield from _unusable("[redis] certificate", "", redis.certificate, redis.private_key)
    dkim, old = config.dkim, config.domainkeys
    yield from _of_domains(
        "dkim_domain", signatures, [(own.domain, own.key or dkim.key) for own in config.dkim_domains]
    )
    yield from _of_all("dkim", signatures, dkim.key, dkim.selector)
    yield from _of_domains("dk_domain", signatures, [(own.domain, own.key or old.key) for own in config.dk_domains])
    yield from _of_all("domainkeys", signatures, old.key, old.selector)


def _unusable(key: str, *files: str) -> Iterator[str]:
    """A certificate, see context_of. key: that names it."""
    try:
        context_of(*files)
    except OSError as error:
        yield f"{key} {str(error).partition(' ')[2]}"


def _of_domains(table: str, signatures: Signatures, domains: list[tuple[str, str]]) -> Iterator[str]:
    """Keys of domains that are configured, where macros stand for them; other keys are read at the start."""
    for domain, template in domains:
        if "%{" in template:
            signing = signatures.signing if table == "dkim_domain" else signatures.domainkeys
            seal = signing.of_message(domain, lambda variable: True)
            try:
                if seal is not None:
                    seal.load(signatures.keys)
            except LumilterError as error:
                yield f"[[{table}]] {domain}: {error}"


def _of_all(table: str, signatures: Signatures, template: str, selector: str) -> Iterator[str]:
    """Keys of whatever domain has one: those that are there."""
    if not selector or "%{d}" not in template:
        return
    beginning = template[: min(at for macro in _MACROS if (at := template.find(macro)) >= 0)]
    directory = Path(f"{beginning}x").parent
    if not directory.is_dir() or not os.access(directory, os.R_OK | os.X_OK):
        yield f"[{table}] key: {directory} is no directory that can be read: mail is only signed where it is"
        return
    pattern = glob.escape(str(Path(template).relative_to(directory))).replace("%{s}", glob.escape(selector.lower()))
    files = sorted(directory.glob(pattern.replace("%{d}", "*")))
    if not files:
        yield f"[{table}] key: no domain has one: there is no file {template}"
    for file in files:
        try:
            signatures.keys.of_file(str(file))
        except KeyUnreadable as error:
            yield f"[{table}] key: {error}"
