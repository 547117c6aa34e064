"""Momentum's structs as scripts see them: accept_construct, validate_context, message_construct, ec_message and kin.

The law: fields only, named as in the manual's structs; one that lumilter can't know is left out, so it reads as nil.

Source: manual, pages structs-accept-construct, structs-validate-context, structs-message-construct, structs-ec-message,
structs-string, structs-eclist-node.
"""

from __future__ import annotations

from dataclasses import dataclass

from lumilter.errors import LumilterError
from lumilter.registry import api, field, lua_class, writer
from lumilter.session.context import ValidateContext
from lumilter.session.mail import P_ESMTP, AcceptConstruct, Endpoint, ListNode, MailMessage
from lumilter.session.strings import EcString, IoObject


@dataclass(frozen=True, slots=True)
class MessageConstruct:
    """The SMTP state of a connection; everything in it is read through the connection."""

    ac: AcceptConstruct


lua_class("accept_construct", AcceptConstruct)
lua_class("validate_context", ValidateContext)
lua_class("message_construct", MessageConstruct)
lua_class("ec_message", MailMessage)
lua_class("ec_sockaddr", Endpoint)
lua_class("ec_string", EcString)
lua_class("ec_list_node", ListNode)

CORE = "msys.core"
MESSAGE = "msys.extended.message"
MESSAGE_PHASES = "data, data_spool, data_spool_each_rcpt, set_binding"
FROM_MAIL_ON = "mailfrom, rcptto"
"""Public policies read the identifiers as soon as there is a message."""


# --- accept_construct -------------------------------------------------------------------------------------------------


@field("ac.remote_addr", package=CORE)
def remote_addr(ac: AcceptConstruct) -> Endpoint:
    """The client's socket address; its text is "ip:port" (IPv4) or "ip.port" (IPv6)."""
    return ac.remote


@field("ac.conn_id", package=CORE)
def ac_conn_id(ac: AcceptConstruct) -> str:
    """Identifier of the connection."""
    return ac.conn_id


@field("ac.protocol", package=CORE)
def protocol(ac: AcceptConstruct) -> int:
    """msys.core.P_ESMTP: a milter sees no other protocol."""
    return P_ESMTP


# --- message_construct ------------------------------------------------------------------------------------------------


@field("message_construct.message", package=CORE)
def mc_message(mc: MessageConstruct) -> MailMessage | None:
    """The message of the running transaction; nil before MAIL."""
    return mc.ac.message


@field("message_construct.ac", package=CORE)
def mc_ac(mc: MessageConstruct) -> AcceptConstruct:
    """The connection."""
    return mc.ac


@field("message_construct.ctx", package=CORE)
def mc_ctx(mc: MessageConstruct) -> ValidateContext:
    """The validation context."""
    return mc.ac.vctx


@field("message_construct.peer_address", package=CORE)
def mc_peer_address(mc: MessageConstruct) -> str:
    """The client's address without the port."""
    return mc.ac.remote.address


@field("message_construct.connection_message_count", package=CORE)
def mc_message_count(mc: MessageConstruct) -> int:
    """Messages begun on this connection."""
    return int(mc.ac.vctx.conn.get("connection_message_count") or 0)


@field("message_construct.connection_rcpt_count", package=CORE)
def mc_connection_rcpt_count(mc: MessageConstruct) -> int:
    """Recipients named on this connection."""
    return int(mc.ac.vctx.conn.get("connection_rcpt_count") or 0)


@field("message_construct.message_rcpt_count", package=CORE)
def mc_message_rcpt_count(mc: MessageConstruct) -> int:
    """Recipients named since the last MAIL."""
    return int(mc.ac.vctx.conn.get("message_rcpt_count") or 0)


@field("message_construct.relayable", package=CORE)
def mc_relayable(mc: MessageConstruct) -> int:
    """1 if the client may relay, else 0 (the context variable can_relay)."""
    return int(mc.ac.vctx.conn.get("can_relay") == "true")


# --- validate_context -------------------------------------------------------------------------------------------------


@field("vctx.code", package=CORE)
def code(vctx: ValidateContext) -> int:
    """The SMTP code of the running phase; 250 unless a script set another."""
    return vctx.code


@writer("vctx.code")
def write_code(vctx: ValidateContext, value: int) -> None:
    if not 200 <= value <= 599:
        raise LumilterError(f"{value} is not an SMTP reply code (200 to 599)")
    vctx.code = value


@field("vctx.note", package=CORE)
def note(vctx: ValidateContext) -> str | None:
    """The reply text of the running phase; nil is the standard text."""
    return vctx.note


@writer("vctx.note")
def write_note(vctx: ValidateContext, value: str | None) -> None:
    vctx.note = value


@writer("vctx.disconnect")
def write_disconnect(vctx: ValidateContext, value: int | bool) -> None:
    """vctx.disconnect = 1 ends the connection with this phase; reading the name gives the method vctx:disconnect."""
    vctx.disconnect = bool(value)


# --- ec_message -------------------------------------------------------------------------------------------------------


@api("msg.batch_id", package=MESSAGE, phases=MESSAGE_PHASES, also=FROM_MAIL_ON)
def batch_id(msg: MailMessage) -> str:
    """Identifier that all recipients' messages of one reception share."""
    return msg.batch_id


@api("msg.conn_id", package=MESSAGE, phases=MESSAGE_PHASES, also=FROM_MAIL_ON)
def conn_id(msg: MailMessage) -> str:
    """Identifier of the connection that the message came by."""
    return msg.ac.conn_id


@api("msg.id", package=MESSAGE, phases=MESSAGE_PHASES, also=FROM_MAIL_ON)
def ident(msg: MailMessage) -> str:
    """Identifier of the message, in Momentum's form: "A0/00-11719-46C328D4"."""
    return msg.id


@field("msg.priority", package=CORE)
def priority(msg: MailMessage) -> int:
    """The priority bit: 0, or what a script set."""
    return msg.priority


@writer("msg.priority")
def write_priority(msg: MailMessage, value: int) -> None:
    if value not in (0, 1):
        raise LumilterError(f"{value} is neither 0 nor 1: the priority is one bit")
    msg.priority = value


@field("msg.recv_method", package=CORE)
def recv_method(msg: MailMessage) -> int:
    """How the message was received: msys.core.P_ESMTP or P_INTERNAL."""
    return msg.recv_method


@field("msg.recv_from", package=CORE)
def recv_from(msg: MailMessage) -> Endpoint:
    """The client's socket address."""
    return msg.ac.remote


@field("msg.recv_via", package=CORE)
def recv_via(msg: MailMessage) -> Endpoint:
    """The MTA's own socket address that took the connection."""
    return msg.ac.local


# --- ec_string, ec_list_node ------------------------------------------------------------------------------------------


@field("ec_string.buffer", package=CORE)
def buffer(string: EcString) -> bytes:
    """The bytes of the string."""
    return string.buffer


@writer("ec_string.buffer")
def write_buffer(string: EcString, value: bytes) -> None:
    string.buffer = value


@field("ec_string.type", package=CORE)
def string_type(string: EcString) -> int:
    """One of msys.core.STRING_TYPE_*; what functions write goes where it says."""
    return string.type


@writer("ec_string.type")
def write_string_type(string: EcString, value: int) -> None:
    string.type = value


@field("ec_string.backing", package=CORE)
def backing(string: EcString) -> IoObject | None:
    """The io_object that takes what functions write into the string; nil where the string does."""
    return string.backing


@writer("ec_string.backing")
def write_backing(string: EcString, value: IoObject | None) -> None:
    string.backing = value


@field("ec_string.len", package=CORE)
def length(string: EcString) -> int:
    """Length in bytes."""
    return len(string.buffer)


@api("ec_string:set", package=CORE, extension=True)
def set_string(string: EcString, value: bytes) -> None:
    """Replace the contents (manual, `msys.registerModule`, "Hook Points")."""
    string.buffer = value


@field("ec_list_node.object", package=CORE)
def node_object(node: ListNode) -> EcString:
    """The recipient's address."""
    return EcString(node.object.encode("utf-8", "surrogateescape"))


@field("ec_list_node.next", package=CORE)
def node_next(node: ListNode) -> ListNode | None:
    """The next node; nil at the end."""
    return node.next
