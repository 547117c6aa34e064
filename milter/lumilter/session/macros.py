"""Macros in a script's string: context variables, the letters of SPF, a date, pieces of the message.

The law: pure, one pass. What is put in is never looked at again, so nothing that a client sends can be a macro. Only a
macro that is known is replaced; any other text stays as it is, a lone % and %% too, as the manual knows no escape.

Source: manual, "Sieve++, Momentum-specific extensions" (vctx_conn, vctx_mess, rfc822, rfc2822), "spf Modules" (the
letters), "custom_logger" (%vctx_conn{key}), "ec_interpolate_register_func" (no key is empty); RFC 7208 7.
"""

from __future__ import annotations

import email.utils
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Protocol

from lumilter.session import macro_pieces


class MacroSource(Protocol):
    """Where values come from. Text is UTF-8 with surrogateescape."""

    @property
    def conn(self) -> Mapping[str, str]:
        """The connection context."""

    @property
    def mess(self) -> Mapping[str, str]:
        """The message context."""

    @property
    def sender(self) -> str:
        """MAIL FROM without angle brackets; "" for the null sender and before MAIL."""

    @property
    def helo(self) -> str:
        """What the client said in HELO or EHLO; "" before."""

    @property
    def client_ip(self) -> str:
        """IPv4 or IPv6 address; any other text for a client without one."""

    @property
    def client_name(self) -> str:
        """The client's name, checked forwards and backwards, or "unknown"."""

    @property
    def domain(self) -> str:
        """The domain that is looked at; "" takes the sender's, without one HELO (RFC 7208 2.4)."""

    @property
    def receiver(self) -> str:
        """This machine's name."""

    @property
    def now(self) -> int:
        """Seconds since the epoch."""

    @property
    def content(self) -> Callable[[], tuple[bytes, bytes]]:
        """Header section (without the empty line) and body, CRLF line ends; both empty before there is a message."""


_MACRO = re.compile(r"%(?:\{([^{}]+)\}|vctx_(conn|mess)\{([^{}]+)\})")
_SPF = re.compile(r"([slodiphvctr])([0-9]*)(r?)([.+,/_=-]*)", re.ASCII | re.IGNORECASE)
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""RFC 3986 2.3."""


def expand(text: str, source: MacroSource) -> str:
    """The text with every macro replaced. A context variable that does not exist is empty. Never raises."""

    def value(found: re.Match[str]) -> str:
        name, dictionary, key = found.groups()
        expanded = _value(name, source) if name else _variable(dictionary, key, source)
        return found[0] if expanded is None else expanded

    return _MACRO.sub(value, text)


def _value(name: str, source: MacroSource) -> str | None:
    """What stands for %{name}; None if that is no macro."""
    namespace, _, rest = name.partition(":")
    if rest and namespace in ("vctx_conn", "vctx_mess"):
        return _variable(namespace.removeprefix("vctx_"), rest, source)
    if name == "rfc822:date":
        return email.utils.formatdate(source.now).replace("-0000", "+0000")  # the zone is known: UTC
    if namespace == "rfc2822":
        return macro_pieces.piece(rest, source.content)
    if letter := _SPF.fullmatch(name.removeprefix("spfv1:")):
        return _letter(letter, source)
    # The manual's Sieve pages is_true and ds_fetch_hash write %{rcptto_domain} without the dictionary.
    return source.mess.get(name, source.conn.get(name))


def _variable(dictionary: str, key: str, source: MacroSource) -> str:
    return (source.conn if dictionary == "conn" else source.mess).get(key, "")


# --- SPF --------------------------------------------------------------------------------------------------------------


def _letter(macro: re.Match[str], source: MacroSource) -> str | None:
    """A letter with its transformers: split, reverse, keep so many parts from the right, join with dots."""
    letter, digits, reverse, delimiters = macro.groups()
    count = int(digits.lstrip("0")[:9] or "0")
    if digits and not count:
        return None  # RFC 7208 7.1: must not be zero
    value = _of_letter(letter.lower(), source)
    if digits or reverse or delimiters:
        apart = "".join(dict.fromkeys(delimiters or "."))  # a class of a million characters takes seconds to compile
        parts = re.split(f"[{re.escape(apart)}]", value)
        parts = parts[::-1] if reverse else parts
        value = ".".join(parts[-count:])
    return _url_escaped(value) if letter.isupper() else value


def _of_letter(letter: str, source: MacroSource) -> str:
    ip = _address(source.client_ip)
    if letter in "iv":
        if isinstance(ip, ipaddress.IPv6Address):
            return "ip6" if letter == "v" else ".".join(ip.packed.hex().upper())
        if letter == "v":
            return "in-addr" if ip else ""
    if letter in "ic":
        return str(ip) if ip else source.client_ip
    if letter in "slod":
        if not (source.sender or source.helo):
            return source.domain if letter == "d" else ""
        # RFC 7208 2.4 and 4.3: the null sender is postmaster@HELO, an address without local part postmaster's.
        local, _, domain = source.sender.rpartition("@") if "@" in source.sender else (source.sender, "", "")
        local, domain = local or "postmaster", domain or source.helo
        return {"s": f"{local}@{domain}", "l": local, "o": domain, "d": source.domain or domain}[letter]
    return {"p": source.client_name or "unknown", "h": source.helo, "t": str(source.now), "r": source.receiver}[letter]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.ipv4_mapped or ip  # RFC 7208 5: an IPv4-mapped address is an IPv4 address
    return ip


def _url_escaped(text: str) -> str:
    raw = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in raw)
