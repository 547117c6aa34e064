"""Which hooks run at which event, in which order: the table that makes a milter session a Momentum session.

The law: every hook is named here once, and the session machine reads this table and nothing else.

    event           hooks in order (each is a phase of its own for VALIDATE_DONE)
    Connect         core_validate_accept, validate_connect
    Helo            validate_ehlo
    Mail            validate_mailfrom
    Rcpt            validate_rcptto
    Data            validate_rcptto_list, validate_rcptto_list_final
    EndOfMessage    validate_data, validate_data_spool, then for each recipient core_pre_msg_each_rcpt,
                    validate_data_spool_each_rcpt, core_post_msg_each_rcpt, validate_set_binding,
                    core_final_validation2, core_final_validation, core_post_final_validation,
                    core_config_get_message_routing_domain
    Close           validate_dealloc

Source: Momentum's manual, "Policy Scriptlets" (callouts) and the pages of the core hooks.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from lumilter.session.events import Close, Connect, Data, EndOfMessage, Helo, Mail, Rcpt

VALIDATE_CONT = 0
VALIDATE_DONE = 1
VALIDATE_AGAIN = 2

HOOK_CONT = 0
HOOK_DONE = 1
HOOK_RETRY = 2


class Arg(Enum):
    """What a hook is called with, beside `self`."""

    AC = "accept_construct"
    VCTX = "validate_context"
    MSG = "ec_message"
    STR = "the string of the SMTP command"
    LIST = "the recipients as a list node"
    CLOSURE = "the module's infrastructure, of which there is none here: nil"
    BUFFER = "an ec_string to write into"
    LENGTH = "how many bytes the buffer may get"


class Result(Enum):
    """How a hook's return value is read."""

    VALIDATE = "VALIDATE_CONT, VALIDATE_DONE or VALIDATE_AGAIN; nothing is VALIDATE_CONT"
    STATUS = "EC_HOOK_CONT, EC_HOOK_DONE (reject) or EC_HOOK_RETRY (tempfail)"
    ROUTE = "not zero: the buffer has the routing domain, and no other module is asked"
    IGNORED = "no meaning"


@dataclass(frozen=True, slots=True)
class Hook:
    """A callout that a script's module may define."""

    name: str
    phase: str
    """As `registry.PHASES` and Momentum's function table name it."""
    args: tuple[Arg, ...] = ()
    result: Result = Result.VALIDATE
    each_rcpt: bool = False


_MESSAGE = (Arg.MSG, Arg.AC, Arg.VCTX)

CONNECT = (
    Hook("core_validate_accept", "connect", (Arg.AC, Arg.VCTX)),
    Hook("validate_connect", "connect", (Arg.AC, Arg.VCTX)),
)
HELO = (Hook("validate_ehlo", "ehlo", (Arg.STR, Arg.AC, Arg.VCTX)),)
MAIL = (Hook("validate_mailfrom", "mailfrom", (Arg.STR, Arg.AC, Arg.VCTX)),)
RCPT = (Hook("validate_rcptto", "rcptto", (Arg.MSG, Arg.STR, Arg.AC, Arg.VCTX)),)
DATA = (
    Hook("validate_rcptto_list", "rcptto_list", (Arg.LIST, Arg.VCTX)),
    Hook("validate_rcptto_list_final", "rcptto_list", (Arg.LIST, Arg.VCTX)),
)
MESSAGE = (
    Hook("validate_data", "data", _MESSAGE),
    Hook("validate_data_spool", "data_spool", _MESSAGE),
)
ROUTING = Hook(
    "core_config_get_message_routing_domain", "set_binding", (Arg.CLOSURE, Arg.MSG, Arg.BUFFER, Arg.LENGTH),
    Result.ROUTE, each_rcpt=True,
)  # fmt: skip
EACH_RCPT = (
    Hook("core_pre_msg_each_rcpt", "data_spool_each_rcpt", _MESSAGE, Result.IGNORED, each_rcpt=True),
    Hook("validate_data_spool_each_rcpt", "data_spool_each_rcpt", _MESSAGE, each_rcpt=True),
    Hook("core_post_msg_each_rcpt", "data_spool_each_rcpt", _MESSAGE, Result.IGNORED, each_rcpt=True),
    Hook("validate_set_binding", "set_binding", (Arg.MSG,), each_rcpt=True),
    Hook("core_final_validation2", "final_validation", _MESSAGE, Result.STATUS, each_rcpt=True),
    Hook("core_final_validation", "final_validation", _MESSAGE, Result.IGNORED, each_rcpt=True),
    Hook("core_post_final_validation", "final_validation", _MESSAGE, Result.IGNORED, each_rcpt=True),
    ROUTING,
)
DEALLOC = Hook("validate_dealloc", "dealloc", (), Result.IGNORED)

SETUP = (
    Hook("rsrc_setup", "init", (), Result.IGNORED),
    Hook("init", "init", (), Result.IGNORED),
)
"""Run once when a generation of scripts is loaded; both must return true."""
TEARDOWN = Hook("deinit", "deinit", (), Result.IGNORED)

BY_EVENT: dict[type, tuple[Hook, ...]] = {
    Connect: CONNECT,
    Helo: HELO,
    Mail: MAIL,
    Rcpt: RCPT,
    Data: DATA,
    EndOfMessage: MESSAGE + EACH_RCPT,
    Close: (DEALLOC,),
}


def is_hooked(event: type, names: Collection[str]) -> bool:
    """Whether one of these functions is a hook of the event."""
    return any(hook.name in names for hook in BY_EVENT[event])


HOOKS: dict[str, Hook] = {hook.name: hook for hooks in (*BY_EVENT.values(), SETUP, (TEARDOWN,)) for hook in hooks}
"""Every hook that lumilter calls, by name."""

NOT_CALLED = {
    "msg_gen_data_spool": "runs in Momentum for mail that HTTP injected; a milter only sees SMTP",
    "core_log_delivery_v1": "delivery is Postfix's; a milter is not told of it",
    "core_log_permanent_failure_v1": "delivery is Postfix's; a milter is not told of it",
    "core_log_transient_failure_v1": "delivery is Postfix's; a milter is not told of it",
    "core_pre_mailq_message_requeue": "the queue is Postfix's; a milter is not told of it",
    "core_ec_message_enqueue": "the queue is Postfix's; a milter is not told of it",
    "core_get_outbound_tls_parameters": "outbound SMTP is the MTA's; use smtp_tls_policy_maps in Postfix",
    "core_smtp_tls_reporting": "outbound SMTP is the MTA's",
    "ac_auth_perform_auth": "AUTH is the MTA's",
    "ac_auth_log_auth_failure": "AUTH is the MTA's",
    "generic_delivery_http_response_eval": "HTTP delivery is not part of a milter",
    "outbound_smtp_auth_config": "outbound SMTP is the MTA's; use smtp_sasl_password_maps in Postfix",
    "generic_delivery_msg_dispose": "delivery is the MTA's",
    "http_request_eval": "HTTP delivery is not part of a milter",
    "http_response_eval": "HTTP delivery is not part of a milter",
    "smpp_submit_response": "SMPP is not part of a milter",
    "smpp_log_delivery": "SMPP is not part of a milter",
}
"""Hooks that Momentum has, that scripts define, and that lumilter does not call, each with the reason."""
