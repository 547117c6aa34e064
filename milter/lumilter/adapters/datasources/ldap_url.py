"""LDAP URLs (RFC 2255): `ldap://host:port/dn?attributes?scope?filter?extensions`, with `$name` placeholders.

The law: a value never becomes part of a URL's text: it is put into a component after the URL was taken apart, escaped
for a filter or a name's value; a component that is a placeholder and nothing else is the value as it is. A server that
a query names itself gets no credentials of the URI.

Source: RFC 2255, RFC 4514, RFC 4515; manual, "ds_core" (LDAP). x-starttls and x-cacert are ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from lumilter.adapters.datasources.contract import DatasourceError, Value
from lumilter.adapters.datasources.placeholders import as_text, filled

_SCHEME = re.compile(r"(?i)(ldap|ldaps|ldapi)://([^/?]*)/?")
_WHOLE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")
_SCOPES = ("base", "one", "sub")
_LINES = re.compile(r"\s*\n\s*")
_NO_UTF8 = re.compile("[\udc80-\udcff]")
_TRUE = ("1", "true", "yes", "on")
EXTENSIONS = {
    "bindname", "x-bindpw", "x-connect-timeout", "x-disable-connection-cache", "x-ignore-referrals", "x-ldap-version",
    "x-return-dn", "x-search-timeout", "x-starttls", "x-cacert",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LdapUrl:
    """A URL, its placeholders filled in; what it leaves out is "" or empty."""

    scheme: str = ""
    host: str = ""
    dn: str = ""
    attributes: tuple[str, ...] = ()
    scope: str = ""
    filter: str = ""
    extensions: Mapping[str, str] = field(default_factory=dict, repr=False)

    def over(self, base: LdapUrl) -> LdapUrl:
        """This one where it says something, else the other."""
        elsewhere = bool(self.host) and (self.scheme, self.host) != (base.scheme, base.host)
        inherited = {
            name: value
            for name, value in base.extensions.items()
            if not elsewhere or name not in ("bindname", "x-bindpw")
        }
        return LdapUrl(
            self.scheme if self.host else base.scheme,
            self.host or base.host,
            self.dn or base.dn,
            self.attributes or base.attributes,
            self.scope or base.scope,
            self.filter or base.filter,
            inherited | dict(self.extensions),
        )

    def flag(self, name: str) -> bool:
        """An extension that says yes or no."""
        return self.extensions.get(name, "").lower() in _TRUE

    def number(self, name: str, default: float) -> float:
        """An extension that is a number of seconds."""
        text = self.extensions.get(name)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text):
            raise DatasourceError(f"{name} is a number")
        return float(text)


def parse(text: str, params: Mapping[int | str, Value] | None = None) -> LdapUrl:
    """The URL of a text; a query may begin with the name (dn). Raises DatasourceError."""
    values = params or {}
    text = _LINES.sub("", text.strip())
    found = _SCHEME.match(text)
    scheme, host = (found[1].lower(), found[2]) if found else ("", "")
    parts = (text[found.end() :] if found else text).split("?", 4)
    dn, attributes, scope, filter_, extensions = (*parts, "", "", "", "", "")[:5]
    scope = _put(scope, values, str).lower()
    if scope and scope not in _SCOPES:
        raise DatasourceError(f'the scope of an LDAP URL is base, one or sub, not "{scope[:20]}"')
    return LdapUrl(
        scheme,
        unquote(host),
        _put(dn, values, escaped_name),
        tuple(name for each in attributes.split(",") if (name := _put(each.strip(), values, str))),
        scope,
        _put(filter_, values, escaped_filter),
        _extensions(extensions, values),
    )


def _extensions(text: str, values: Mapping[int | str, Value]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        critical, name = name.startswith("!"), unquote(name.removeprefix("!")).lower()
        if name in EXTENSIONS:
            found[name] = _put(value, values, escaped_name if name == "bindname" else str)
        elif critical:
            raise DatasourceError(f"the LDAP extension {name[:40]} is not known here")
    return found


def _put(text: str, values: Mapping[int | str, Value], escape: Callable[[str], str]) -> str:
    text = unquote(text, errors="surrogateescape")
    whole = _WHOLE.fullmatch(text)
    put = as_text(values.get(whole[1])) if whole else filled(text, values, escape)
    return _NO_UTF8.sub(lambda found: f"\\{ord(found[0]) - 0xDC00:02x}", put)


def escaped_filter(value: str) -> str:
    """A value in a filter (RFC 4515)."""
    raw = value.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte not in b"*()\\" else f"\\{byte:02x}" for byte in raw)


def escaped_name(value: str) -> str:
    """A value in a distinguished name (RFC 4514)."""
    text = "".join(f"\\{letter}" if letter in ',+"\\<>;=' else letter for letter in value).replace("\0", "\\00")
    if text[:1] in ("#", " "):
        text = "\\" + text
    return text[:-1] + "\\ " if text.endswith(" ") and not text.endswith("\\ ") else text
