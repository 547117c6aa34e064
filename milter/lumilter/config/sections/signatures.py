"""[dkim], [domainkeys] and the tables beside them: what is signed, and what counts as a good signature.

The law: what a key means is said here and nowhere else. `check` raises for tables that do not fit together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lumilter.config.bind import Source
from lumilter.config.declare import key as setting
from lumilter.config.kinds import BOOLEAN, DOMAIN, TEXT, choice, integer, list_of, optional, seconds

CANON = choice("simple", "relaxed")
DK_CANON = choice("nofws", "simple")
DIGEST = choice("", "rsa-sha256", "rsa-sha1", "ed25519-sha256")


@dataclass(frozen=True, slots=True)
class Dkim:
    """DKIM, as Momentum's module opendkim: signing without a script, what scripts need not say, and checking."""

    selector: str = setting(TEXT, "The selector.", "", example="s2026")
    key: str = setting(
        TEXT,
        "The private key, a PEM file that only the daemon can read; %{d} is the domain of Sender or From (or of "
        "`base_domain`), %{s} the selector. With %{d}, mail of every domain that there is a key for is signed; empty: "
        "only scripts sign, and [[dkim_domain]] tables with a key.",
        "",
        example="/etc/lumilter/dkim/%{d}/%{s}.key",
        path=True,
    )
    sign: bool = setting(BOOLEAN, "Whether mail is signed without a script; see [[signing_scope]].", True)
    sign_condition: str = setting(
        TEXT,
        "The context variable that must exist: can_relay (the client has authenticated itself, or a [[context]] table "
        "sets it), auth_user, or one that a script sets. Empty signs whatever comes: only for a listener that takes no "
        "mail from outside.",
        "can_relay",
    )
    header_canon: str = setting(CANON, "How header fields are made canonical.", "relaxed")
    body_canon: str = setting(CANON, "How bodies are made canonical.", "relaxed")
    digest: str = setting(DIGEST, "The algorithm; empty is the key's own with SHA-256.", "")
    headerlist: tuple[str, ...] = setting(
        list_of(TEXT),
        "Names of the fields that are signed, all fields of a name; From is always. Empty is RFC 6376's list.",
        [],
        example=["From", "To", "Subject", "Date", "Message-ID", "Content-Type"],
    )
    oversign_headerlist: tuple[str, ...] = setting(
        list_of(TEXT), "Names that are signed once more, so that none can be added.", [], example=["From", "Subject"]
    )
    skip_headerlist: tuple[str, ...] = setting(list_of(TEXT), "Names that are not.", [], example=["Content-Type"])
    identity: str = setting(
        TEXT, "The identity (i=), in the signing domain; empty leaves it out.", "", example="@example.com"
    )
    body_length_limit: bool = setting(
        BOOLEAN, "Say how long the body is (l=): what somebody adds later does not break the signature.", False
    )
    copy_headers: bool = setting(BOOLEAN, "Copy the signed fields into the signature (z=), for those who debug.", False)
    lifetime: int = setting(integer(0), "Hours that a signature is good for (x=); 0 is no limit.", 0)
    on_error: str = setting(
        choice("tempfail", "accept"),
        "What becomes of mail that can't be signed as it should be: put off, or let go without a signature.",
        "tempfail",
    )
    accept_sha1: bool = setting(BOOLEAN, "Whether rsa-sha1 signatures count, against RFC 8301.", False)
    min_key_bits: int = setting(integer(512), "The smallest RSA key that counts (RFC 8301: 1024).", 1024)
    max_signatures: int = setting(integer(1, 1000), "How many signatures of a message are checked.", 20)
    timeout: float = setting(seconds(0.1), "Seconds that all keys of one message are waited for.", 10)


@dataclass(frozen=True, slots=True)
class DkimDomain:
    """What [dkim] says otherwise for mail of one domain (Momentum's dkim_domain); what is left out is as there."""

    domain: str = setting(DOMAIN, "The domain of Sender or From.", example="corp.example.com")
    sign: bool = setting(BOOLEAN, "Whether its mail is signed without a script.", True)
    base_domain: str | None = setting(
        optional(DOMAIN), "The domain that signs; empty is the same.", "", example="example.com"
    )
    selector: str = setting(TEXT, "The selector.", "", example="s2026")
    key: str = setting(TEXT, "The private key.", "", example="/etc/lumilter/dkim/example.com.key", path=True)
    sign_condition: str | None = setting(
        optional(TEXT), 'The context variable that must exist; "none" is no condition.', "", example="auth_user"
    )
    header_canon: str | None = setting(optional(CANON), "How header fields are made canonical.", "", example="simple")
    body_canon: str | None = setting(optional(CANON), "How bodies are made canonical.", "", example="simple")
    digest: str = setting(DIGEST, "The algorithm.", "", example="rsa-sha256")
    body_length_limit: bool | None = setting(optional(BOOLEAN), "Say how long the body is.", "", example=True)


@dataclass(frozen=True, slots=True)
class DomainKeys:
    """DomainKeys signatures, as Momentum's module dk_sign. Hardly anybody looks at them any more: they are SHA-1."""

    selector: str = setting(TEXT, "The selector; empty, a script's is that of [dkim].", "", example="s2026")
    key: str = setting(
        TEXT,
        "The private key, RSA, as in [dkim]. Empty: only scripts sign, with the key of [dkim], and [[dk_domain]] "
        "tables with a key.",
        "",
        example="/etc/lumilter/dk/%{d}/%{s}.key",
        path=True,
    )
    sign: bool = setting(BOOLEAN, "Whether mail is signed without a script; see [[signing_scope]].", True)
    sign_condition: str = setting(TEXT, "The context variable that must exist, as in [dkim].", "can_relay")
    canon: str = setting(DK_CANON, "How the message is made canonical.", "nofws")
    headerlist: tuple[str, ...] = setting(
        list_of(TEXT), "Names of the fields that are signed; From is always. Empty is all that stay.", [],
        example=["From", "To", "Subject", "Date"],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DkDomain:
    """What [domainkeys] says otherwise for mail of one domain (Momentum's dk_domain)."""

    domain: str = setting(DOMAIN, "The domain of Sender or From.", example="corp.example.com")
    sign: bool = setting(BOOLEAN, "Whether its mail is signed without a script.", True)
    base_domain: str | None = setting(
        optional(DOMAIN), "The domain that signs; empty is the same.", "", example="example.com"
    )
    selector: str = setting(TEXT, "The selector.", "", example="s2026")
    key: str = setting(TEXT, "The private key.", "", example="/etc/lumilter/dk/example.com.key", path=True)
    sign_condition: str | None = setting(
        optional(TEXT), 'The context variable that must exist; "none" is no condition.', "", example="auth_user"
    )
    canon: str | None = setting(optional(DK_CANON), "How the message is made canonical.", "", example="simple")
    headerlist: tuple[str, ...] = setting(list_of(TEXT), "Names of the fields that are signed.", [], example=["From"])


@dataclass(frozen=True, slots=True)
class SigningScope:
    """Whether mail that leaves by a binding, by one of a group, or for a domain, is signed by configuration: Momentum's
    options opendkim_sign and domainkeys in the scope of a binding, a binding group or a domain, or of a domain within
    one of these. The most specific scope that says something decides, else `sign` of [dkim] and [domainkeys]."""

    binding: str = setting(TEXT, 'The name of a [[binding]], or "default".', "", example="mta1")
    binding_group: str = setting(TEXT, "The binding group.", "", example="marketing")
    domain: str | None = setting(optional(DOMAIN), "The recipient's domain.", "", example="example.net")
    opendkim_sign: bool | None = setting(
        optional(BOOLEAN), "Whether [dkim] signs; empty says nothing.", "", example=False
    )
    domainkeys: bool | None = setting(
        optional(BOOLEAN), "Whether [domainkeys] signs; empty says nothing.", "", example=False
    )


def check(
    scopes: Sequence[SigningScope],
    bindings: Collection[str],
    groups: Collection[str],
    signs: Mapping[str, bool],
    source: Source,
) -> None:
    """Raises ConfigError for a scope of a binding or group that there is not, or that turns on what has no keys.

    signs: whether the configuration says with what is signed, by the name of a scope's option.
    """
    for index, scope in enumerate(scopes):
        at = ("signing_scope", index)
        if scope.binding and scope.binding not in bindings:
            raise source.error((*at, "binding"), f'there is no [[binding]] "{scope.binding}"')
        if scope.binding_group and scope.binding_group not in groups:
            raise source.error((*at, "binding_group"), f'there is no [[binding]] of a group "{scope.binding_group}"')
        for option, table in (("opendkim_sign", "dkim"), ("domainkeys", "domainkeys")):
            if getattr(scope, option) and not signs[option]:
                raise source.error((*at, option), f"[{table}] says no selector and no key to sign with")
