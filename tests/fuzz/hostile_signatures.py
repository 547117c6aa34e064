"""Input that is hostile to the running time of what reads signatures, policies and results.

The law: as in `hostile`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from fuzz.growth import Growth
from lumilter.adapters.signatures import canonical, chain, dmarc, domainkeys, results, sender_policy, verification
from lumilter.adapters.signatures.content import Content, Field, without_value
from lumilter.adapters.signatures.keys import of_records, tags_of
from lumilter.adapters.signatures.verification import Rules
from support.dns_zone import Zone
from support.mail_keys import rsa_key

KEYS = {"s._domainkey.example.org": {"TXT": [rsa_key().record()]}}
HASH = b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def raw(unit: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + unit * (size // len(unit)) + after


def signature(names: bytes) -> bytes:
    return b" v=1; a=rsa-sha256; d=example.org; s=s; c=relaxed/relaxed; h=from%s; bh=%s; b=AAAA" % (names, HASH)


def fields(*made: Field) -> Content:
    return Content(made, b"")


def verified(content: Content) -> None:
    verification.verify(content, Zone(KEYS), Rules(), time.monotonic() + 60)
    chain.verify(content, Zone(KEYS), Rules(), time.monotonic() + 60)
    domainkeys.verify(content, "a@example.org", Zone(KEYS), 5, time.monotonic() + 60)


def judged(policy: str) -> None:
    zone = Zone({"example.org": {"TXT": [policy]}})
    sender_policy.check("192.0.2.1", "a@example.org", "h", "mx", "", zone, time.monotonic() + 60)


def many(size: int) -> Content:
    """Half of it signatures that name every field, half of it fields."""
    count = max(1, size // 400)
    names = b"".join(b":x%d" % n for n in range(count))
    others = [(b"x%d" % n, b" " + b"y" * 60) for n in range(count)]
    return fields(*[(b"DKIM-Signature", signature(names))] * 20, (b"From", b" a@example.org"), *others)


GROWTHS: list[Growth] = [
    *(
        Growth(f"{form} body of {name}", lambda body, form=form: sum(map(len, canonical.BODIES[form](body))), make)
        for form in ("simple", "relaxed")
        for name, make in {
            "blank": raw(b" ", b"", b"x"), "tabs": raw(b"\t "), "lines": raw(b"\r\n"),
            "blank lines": raw(b" \r\n", b"", b"x"), "returns": raw(b"\r"), "feeds": raw(b"\n"),
        }.items()
    ),
    Growth("nofws body", canonical.nofws_body, raw(b" \r\n", b"", b"x")),
    *(
        Growth(f"relaxed field of {name}", lambda value: canonical.relaxed_header(b"X", value), make)
        for name, make in {"blank": raw(b" "), "folds": raw(b"\r\n "), "returns": raw(b"\r")}.items()
    ),
    *(
        Growth(f"tags of {name}", tags_of, make)
        for name, make in {
            "semicolons": raw(b";"), "tags": raw(b"a=b;"), "name": raw(b"a"), "blank": raw(b" "),
            "equals": raw(b"=", b"a"),
        }.items()
    ),
    *(
        Growth(f"signature with {name}", lambda value: verified(fields((b"DKIM-Signature", value))), make)
        for name, make in {
            "names": lambda size: signature(b":a" * (size // 2)), "one name": lambda size: signature(b"a" * size),
            "blank": lambda size: signature(b" " * size), "b": lambda size: signature(b"") + b"A" * size,
            "selector": raw(b"a", b" v=1; d=example.org; h=from; a=rsa-sha256; b=AA==; bh=AA==; s="),
        }.items()
    ),
    Growth("many signatures of many fields", verified, many, 10**5),
    Growth("many seals", verified, lambda size: fields(*[(b"ARC-Seal", b" i=1; cv=none")] * (size // 20))),
    Growth("without a tag", lambda value: without_value(value, b"b"), raw(b"b=;")),
    *(
        Growth(f"results of {name}", results.authserv_id, make)
        for name, make in {
            "comments": raw(b"("), "closed": raw(b"()"), "quotes": raw(b'"'), "escapes": raw(b"\\", b'"'),
            "blank": raw(b" "),
        }.items()
    ),
    *(
        Growth(f"policy of {name}", lambda text: judged("v=spf1 " + text.decode()), make, 8000)
        for name, make in {
            "terms": raw(b"ip4:192.0.2.9 "), "macros": raw(b"%{d}", b"a:", b".x"), "open": raw(b"%{", b"a:"),
            "dots": raw(b".", b"a:x"), "dashes": raw(b"-", b"a:x.a"), "modifiers": raw(b"x=y "),
            "colons": raw(b":", b"a"),
            "six": raw(b"1:", b"ip6:"), "delimiters": raw(b".", b"a:%{d", b"}.x"),
            "digits": raw(b"1", b"a:%{d", b"}.x"),
        }.items()
    ),
    Growth("key record", lambda text: of_records((text.decode(),)), raw(b"A", b"p=")),
    Growth("key record of tags", lambda text: of_records((text.decode(),)), raw(b"p=A;")),
    Growth("DMARC record", lambda text: dmarc.read(text.decode()), raw(b"p=none;", b"v=DMARC1;")),
    Growth("organization", lambda text: dmarc.organizational(text.decode()), raw(b"a.")),
]  # fmt: skip
