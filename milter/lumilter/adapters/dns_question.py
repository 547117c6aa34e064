"""Names as the DNS has them, from a script's text and back.

The law: text is hostile. A name that the DNS can't hold is answered like one that it doesn't hold, NXDOMAIN: policies
refuse for good on that word and ask the client to come back on any other.
"""

from __future__ import annotations

import re

import dns.exception
import dns.name
import dns.reversename

from lumilter.adapters.dns_names import NXDOMAIN, is_ip
from lumilter.errors import LookupFailed

_DOT = re.compile("[.\u3002\uff0e\uff61]")
"""RFC 3490 3.1: what separates labels."""
_MAX_LABEL = 63
_MAX_NAME = 1000
"""Characters, far more than RFC 1035 2.3.4's 255 octets: what is longer is not even looked at."""


def question(name: str, rtype: str) -> dns.name.Name:
    """The name to ask for: with or without a final dot, in Unicode or not; an IP address will do for a PTR record.

    Raises LookupFailed("NXDOMAIN") for what is no name.
    """
    if rtype == "PTR" and is_ip(name):
        return dns.reversename.from_address(name)
    if name == ".":
        return dns.name.root
    try:
        labels = [_label(label) for label in _DOT.split(name[: _MAX_NAME + 1].removesuffix("."))]
        if len(name) > _MAX_NAME or b"" in labels:
            raise LookupFailed(NXDOMAIN)
        return dns.name.Name([*labels, b""])
    except (dns.exception.DNSException, UnicodeError):
        raise LookupFailed(NXDOMAIN) from None


def _label(text: str) -> bytes:
    """ASCII as it is, without the escapes of zone files; anything else by IDNA."""
    if text.isascii():
        return text.encode("ascii")
    if len(text) > _MAX_LABEL:
        raise LookupFailed(NXDOMAIN)
    return dns.name.IDNA_2003_Practical.encode(text)


def text_of(name: dns.name.Name) -> str:
    """A name without the final dot, odd bytes escaped as in zone files; "." for the root."""
    return name.to_text(omit_final_dot=True)
