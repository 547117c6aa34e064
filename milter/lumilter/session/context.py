"""The validation context: Momentum's two dictionaries, the SMTP disposition, and the predefined variables.

The law: keys and values are `str`; whatever a script or the MTA puts in comes out as text (manual, `msg:context_get`:
"always returns a string"). The names of predefined variables are written here and nowhere else.

Source: manual, "Validation Context Variables", "Message Context Variables" and the struct validate_context.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lumilter.session.address import Path
from lumilter.session.events import Helo, Macros

CONN = 0
MESS = 1
"""Indices of the two dictionaries: msys.core.VCTX_CONN and VCTX_MESS, and ECMESS_CTX_* which scripts mix with them."""

DEFAULT_CODE = 250


@dataclass(slots=True)
class ValidateContext:
    """What a script sees as `vctx`.

    code, note: the disposition of the running phase; note None is the standard text. disconnect: the connection ends
    with this phase. tcost: seconds that the reply is held back (struct validate_context's name for a tarpit).
    """

    conn: dict[str, str] = field(default_factory=dict)
    mess: dict[str, str] = field(default_factory=dict)
    code: int = DEFAULT_CODE
    note: str | None = None
    disconnect: bool = False
    tcost: float = 0.0

    def dictionary(self, which: int) -> dict[str, str]:
        """The dictionary of that index; ValueError for any other number."""
        if which == CONN:
            return self.conn
        if which == MESS:
            return self.mess
        raise ValueError(f"{which} is neither VCTX_CONN ({CONN}) nor VCTX_MESS ({MESS})")

    def begin_phase(self) -> None:
        """Forget the last phase's disposition; contexts, a pending disconnect and a tarpit stay."""
        self.code, self.note = DEFAULT_CODE, None


def connected(conn: dict[str, str]) -> None:
    """Variables known when the client has connected."""
    _counters(conn, message=0, total_rcpt=0, rcpt=0)


def greeted(conn: dict[str, str], event: Helo) -> None:
    """ehlo_* and, as HELO is repeated after STARTTLS, tls*."""
    conn["ehlo_string"] = event.name
    conn["ehlo_domain"] = event.name.rstrip(".").lower()
    secured(conn, event.macros)


def secured(conn: dict[str, str], macros: Macros) -> None:
    """tls* from the TLS macros; tls is "true" as Momentum sets it, and absent without TLS."""
    if not macros.get("tls_version"):
        return
    conn["tls"] = "true"
    for macro, names in _TLS.items():
        value = macros.get(macro)
        if value:
            for name in names:
                conn[name] = value
    if macros.get("verify", "").upper() == "OK":
        conn["tls_client_verified"] = "yes"


_TLS = {
    "tls_version": ("tls_version",),
    "cipher": ("tls_cipher",),
    "cipher_bits": ("tls_cipher_usebits", "tls_cipher_algbits"),
    "cert_subject": ("tls_client_cert_subject", "tls_client_cert_subject_cn"),
    "cert_issuer": ("tls_client_cert_issuer", "tls_client_cert_issuer_cn"),
}
"""MTAs give the certificates' common names in {cert_subject} and {cert_issuer}, so both variables get the name."""


def authenticated(conn: dict[str, str], macros: Macros) -> None:
    """auth_* and can_relay, from the macros of an authenticated client.

    An MTA only goes on to MAIL after AUTH succeeded, so the status is never anything but "pass". can_relay is what
    Momentum sets for clients that may relay; for hosts that may do so by address, the configuration's [[context]] does.
    """
    user = macros.get("auth_authen")
    if not user:
        return
    conn["auth_user"] = user
    conn["auth_status"] = "pass"
    conn["can_relay"] = "true"
    if macros.get("auth_type"):
        conn["auth_name"] = macros["auth_type"]


def sender(vctx: ValidateContext, path: Path) -> None:
    """mailfrom_*, and the counters of a new message."""
    vctx.mess["mailfrom_string"] = path.address
    vctx.mess["mailfrom_localpart"] = path.localpart
    vctx.mess["mailfrom_domain"] = path.domain
    _counters(vctx.conn, message=_number(vctx.conn, "connection_message_count") + 1, rcpt=0)


def recipient(mess: dict[str, str], path: Path) -> None:
    """rcptto_* for the recipient that a hook runs for."""
    mess["rcptto_string"] = path.address
    mess["rcptto_localpart"] = path.localpart
    mess["rcptto_domain"] = path.domain


def counted(conn: dict[str, str]) -> None:
    """One more recipient on this connection and for this message."""
    _counters(
        conn,
        total_rcpt=_number(conn, "connection_rcpt_count") + 1,
        rcpt=_number(conn, "message_rcpt_count") + 1,
    )


def _counters(conn: dict[str, str], **counts: int) -> None:
    names = {"message": "connection_message_count", "total_rcpt": "connection_rcpt_count", "rcpt": "message_rcpt_count"}
    for key, count in counts.items():
        conn[names[key]] = str(count)


def _number(conn: Mapping[str, str], key: str) -> int:
    try:
        return int(conn.get(key, "0"))
    except ValueError:
        return 0
