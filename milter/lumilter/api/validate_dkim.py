"""msys.validate.dkim: the names that DKIM had before Momentum 3.6.

The law: declarations only; everything is done as msys.validate.opendkim does it. Results are plain tables.

Source: manual of Momentum 3, pages of msys.validate.dkim.*.
"""

from __future__ import annotations

from typing import Any

from lumilter.adapters.signatures import codes
from lumilter.adapters.signatures.verification import Signature, Verified
from lumilter.api.signed_content import content_of, responsible_domain
from lumilter.api.validate_opendkim import asked_for
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.session.context import ValidateContext
from lumilter.session.mail import MailMessage

PACKAGE = "msys.validate.dkim"
PHASES = "data, data_spool, data_spool_each_rcpt"
_WORDS = {codes.OK: "pass", codes.BADSIG: "fail", codes.NOSIG: "none", codes.KEYFAIL: "temperror"}


@api(
    "msys.validate.dkim.sign",
    package=PACKAGE,
    phases="core_final_validation",
    also=PHASES,
    blocking=True,
    extension=True,
)
def sign(
    msg: MailMessage | None, vctx: ValidateContext | None, options: dict[str, Any] | None = None, *, here: Here
) -> Job:
    """As msys.validate.opendkim.sign, but a name in headerlist is one field, or says that there is none.

    "?" behind a name: one field, if there is one; "+": all of them; "*": all, or that there is none.
    """
    return asked_for(msg, options, here, strict=True)


@api("msys.validate.dkim.get_responsible_domain", package=PACKAGE, phases=PHASES, extension=True)
def get_responsible_domain(
    msg: MailMessage | None = None, ctx: ValidateContext | None = None, *, here: Here
) -> str | None:
    """The domain of the address in Sender, else in From; nil where there is none."""
    return responsible_domain(_message(msg, here).content.headers) or None


@api("msys.validate.dkim.get_domains", package=PACKAGE, phases=PHASES, blocking=True, extension=True)
def get_domains(msg: MailMessage | None = None, ctx: ValidateContext | None = None, *, here: Here) -> Job:
    """The domains whose signatures on the message are good."""
    return _verified(msg, here, lambda found: list(dict.fromkeys(s.domain for s in found.signatures if s.passed)))


@api("msys.validate.dkim.get_verify_results", package=PACKAGE, phases=PHASES, blocking=True, extension=True)
def get_verify_results(vctx: ValidateContext | None = None, *, here: Here) -> Job:
    """How many signatures the message has, and their results, for verify_results_get_item."""
    return _verified(None, here, lambda found: (len(found.signatures), _results(found)))


@api("msys.validate.dkim.verify_results_get_count", package=PACKAGE, phases=PHASES, extension=True)
def verify_results_get_count(results: dict[Any, Any] | None = None) -> int | tuple[None, str]:
    """How many results there are."""
    if results is None:
        return None, "No verification results to count."
    return sum(isinstance(value, dict) for value in results.values())


@api("msys.validate.dkim.verify_results_get_item", package=PACKAGE, phases=PHASES, extension=True)
def verify_results_get_item(
    results: dict[Any, Any] | None = None, index_value: int | None = None
) -> dict[str, Any] | tuple[None, str]:
    """A result, from 0 for the topmost signature: a table with status, diagnostic, domain, selector, identity,
    algorithm and query."""
    if results is None:
        return None, "No verification results to get item from"
    if index_value is None:
        return None, "Index value not specified"
    found: dict[str, Any] | None = results.get(index_value)
    return found or (None, "Index value is greater than the number of verification results")


@api("msys.validate.dkim.verify_status_to_string", package=PACKAGE, phases=PHASES, extension=True)
def verify_status_to_string(status: int | None = None) -> str | tuple[None, str]:
    """A result's status as Authentication-Results has it: pass, fail, none, temperror, permerror."""
    return (None, "No status code is passed in") if status is None else status_word(status)


def status_word(status: int) -> str:
    """A DKIM_STAT_* as Authentication-Results has it."""
    return _WORDS.get(status, "permerror")


def _message(msg: MailMessage | None, here: Here) -> MailMessage:
    message = msg if msg is not None else here.session.message if here.session is not None else None
    if message is None:
        raise LumilterError("there is no message")
    return message


def _verified(msg: MailMessage | None, here: Here, answer: Any) -> Job:
    content, services = content_of(_message(msg, here).content), here.services

    def run(deadline: float) -> Any:
        return answer(services.signatures.verify(content, services.resolver, deadline))

    return Job(run, "dkim")


def _results(found: Verified) -> dict[Any, Any]:
    return {"ref": 1, **{at: _item(each) for at, each in enumerate(found.signatures)}}


def _item(signature: Signature) -> dict[str, Any]:
    return {
        "status": signature.status, "diagnostic": signature.error, "domain": signature.domain,
        "selector": signature.selector, "identity": signature.identity, "algorithm": signature.algorithm,
        "query": "dns/txt",
    }  # fmt: skip
