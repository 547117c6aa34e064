"""[[scanner]], [antivirus] and [engines]: engines that judge messages, and which function each of them serves.

The law: what a key means is said here and nowhere else. `check` raises for tables that do not fit together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lumilter.config.address import SocketAddress
from lumilter.config.bind import Source
from lumilter.config.declare import key
from lumilter.config.kinds import BOOLEAN, SIZE, SOCKET, TEXT, Kind, choice, got, integer, list_of, seconds

KINDS = ("clamd", "icap", "spamd", "rspamd", "cloudmark", "ctasd", "command")
ANTIVIRUS = ("clamd", "icap", "ctasd", "command")
"""Kinds that find viruses."""
_ONLY = {
    "servers": tuple(kind for kind in KINDS if kind != "command"),
    "tls": ("icap", "spamd", "rspamd", "cloudmark", "ctasd"),
    "service": ("icap",),
    "method": ("icap",),
    "user": ("spamd",),
    "password": ("rspamd",),
    "command": ("command",),
    "infected": ("command",),
    "threat": ("command",),
    "memory": ("command",),
}
"""Keys that only some kinds know."""


def _pattern(value: object) -> str:
    text = TEXT.read(value)
    assert isinstance(text, str)
    try:
        compiled = re.compile(text)
    except re.error as error:
        raise ValueError(f'expected a regular expression, got "{text}": {error}') from None
    if text and compiled.groups != 1:
        raise ValueError(f'expected a regular expression with one group, the name, got "{text}"')
    return text


def _variable(value: object) -> str:
    text = TEXT.read(value)
    if not isinstance(text, str) or len(text) > 100:
        raise ValueError(f"expected a name of at most 100 characters, got {got(value)}")
    return text


def _service(value: object) -> str:
    text = TEXT.read(value)
    if not isinstance(text, str) or not re.fullmatch(r"[!-~]{0,255}", text):
        raise ValueError(f"expected {SERVICE.expected}, got {got(value)}")
    return text


SERVICE = Kind("the path of a service, without blanks", _service)
PATTERN = Kind("a regular expression with one group", _pattern)
VARIABLE = Kind("the name of a context variable", _variable)


USUAL = {
    "clamd": SocketAddress("unix", path="/run/clamav/clamd.ctl"),
    "icap": SocketAddress("inet", host="127.0.0.1", port=1344),
    "spamd": SocketAddress("inet", host="127.0.0.1", port=783),
    "rspamd": SocketAddress("inet", host="127.0.0.1", port=11333),
    "cloudmark": SocketAddress("inet", host="127.0.0.1", port=2713),
    "ctasd": SocketAddress("inet", host="127.0.0.1", port=8088),
}
"""Where an engine listens unless it was told otherwise."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """An engine that looks for viruses or judges spam. Scripts and the tables below know it by its name."""

    name: str = key(TEXT, "What scripts call it (msys.av.scan): at most 40 characters.", example="clamav")
    kind: str = key(
        choice(*KINDS),
        "clamd: ClamAV. icap: anything that speaks ICAP. spamd: SpamAssassin. rspamd: its HTTP interface. cloudmark: "
        "Cloudmark's HTTP server. ctasd: Cyren's (Commtouch's) daemon. command: a program.",
        example="clamd",
    )
    servers: tuple[SocketAddress, ...] = key(
        list_of(SOCKET),
        "Where it listens; of several, each scan takes the next one, and another one after a failure. Empty is the "
        "usual place on this machine: clamd unix:/run/clamav/clamd.ctl, icap inet:1344, spamd inet:783, rspamd "
        "inet:11333, cloudmark inet:2713, ctasd inet:8088.",
        [],
        example=["unix:/run/clamav/clamd.ctl"],
    )
    tls: bool = key(
        BOOLEAN,
        "Speak TLS with the servers, and check their certificates and names: icap (ICAPS, usually on port 11344), "
        "spamd (--ssl), rspamd, cloudmark, ctasd.",
        False,
    )
    ca_file: str = key(
        TEXT,
        "Certificates that the servers' are checked with; empty is the system's.",
        "",
        example="/etc/lumilter/scanners-ca.pem",
        path=True,
    )
    certificate: str = key(
        TEXT, "Our certificate, if the servers want one.", "", example="/etc/lumilter/scanners.pem", path=True
    )
    private_key: str = key(
        TEXT, "Its private key, without a pass phrase.", "", example="/etc/lumilter/scanners.key", path=True
    )
    timeout: float = key(seconds(0.01), "Seconds that one try may take.", 10)
    retries: int = key(
        integer(0, 10),
        "Tries after the first one failed. A server that did not answer in time is not asked again by the same scan.",
        1,
    )
    concurrency: int = key(
        integer(1, 1000), "Scans at the same time in one worker; more wait, within their hook's deadline.", 10
    )
    size_limit: int = key(SIZE, "Largest message or part that is scanned; larger ones are unscannable. 0 is any.", 0)
    cache: int = key(integer(0), "Results that are kept for the same content; 0 keeps none.", 1000)
    cache_time: float = key(seconds(0), "Seconds that a result is kept, whatever the engine learns meanwhile.", 300)
    failures: int = key(
        integer(0), "Failures in a row after which a server is left alone; 0 asks it whatever happens.", 5
    )
    pause: float = key(seconds(0.01), "Seconds until a server that is left alone is tried again, by one scan.", 30)
    service: str = key(
        SERVICE,
        "The service's name on an ICAP server: virus_scan (c-icap), avscan, respmod, ...",
        "",
        example="virus_scan",
    )
    method: str = key(choice("respmod", "reqmod"), "The ICAP method.", "respmod")
    user: str = key(TEXT, "Whose preferences spamd takes; empty are its own.", "", example="mail")
    password: str = key(TEXT, "rspamd's password, where it wants one.", "", secret=True)
    command: tuple[str, ...] = key(
        list_of(TEXT),
        "The program and its arguments; no shell sees them. It reads the message from its standard input, or from the "
        'file whose name stands for "{file}".',
        [],
        example=["/usr/bin/clamscan", "--no-summary", "-"],
    )
    infected: tuple[int, ...] = key(
        list_of(integer(1, 255)),
        "Exit statuses of the program that mean that something was found; 0 is clean, others are an error.",
        [1],
    )
    threat: str = key(
        PATTERN,
        "A regular expression that finds the name of what was found in the program's output, as its group. Where it is "
        "given and finds none, a status of `infected` is an error.",
        "",
        example=": (.+) FOUND",
    )
    memory: int = key(SIZE, "Address space of the program; 0 is no limit.", "2G")


@dataclass(frozen=True, slots=True)
class Antivirus:
    """What msys.av does, as Momentum's antivirus module is told."""

    enabled: bool = key(
        BOOLEAN,
        "Scan every message before the scripts see it. Otherwise messages are scanned when a script says so.",
        False,
    )
    engines: tuple[str, ...] = key(
        list_of(TEXT),
        "The scanners that are asked, in this order, up to the first that finds something. Empty: all that find "
        "viruses (clamd, icap, ctasd, command).",
        [],
        example=["clamav"],
    )
    action: str = key(
        choice("pass", "reject"),
        'With "reject" a message that was scanned and is infected or unscannable is refused (550), and one that could '
        'not be scanned is put off (error_code). With "pass" scripts decide.',
        "pass",
    )
    context_variable: str = key(
        VARIABLE,
        'The context variable that is set, with "virus", "unscannable" or "error", unless a message is clean; the one '
        'with "_info" behind it says more. Empty is the engine\'s name with "_status" behind it.',
        "",
        example="virus",
    )
    skip_context_variable: str = key(
        VARIABLE, "A message with this context variable is not scanned.", "skip_virus_check"
    )
    error_code: int = key(integer(400, 599), 'The code for messages that could not be scanned, with "reject".', 451)


@dataclass(frozen=True, slots=True)
class Engines:
    """Which scanner answers for an engine that scripts were written for; empty is none, and the function says so."""

    brightmail: str = key(TEXT, "For msys.brightmail.scan.", "", example="spamassassin")
    symantec_beik: str = key(TEXT, "For msys.symantec_beik.scan.", "", example="spamassassin")
    cloudmark: str = key(TEXT, "For msys.cloudmark.score.", "", example="cloudmark")
    commtouch: str = key(TEXT, "For msys.commtouch.diagnose.", "", example="cyren")
    expurgate: str = key(TEXT, "For msys.expurgate.scan.", "", example="rspamd")
    spamc: str = key(TEXT, "For msys.spamc.spamc_scan.", "", example="spamassassin")
    active_filter: str = key(
        choice("error", "none"),
        "What msys.cloudmark.score_af, add_af_data and set_af_* do: ActiveFilter, which moves or deletes mail whose "
        'score changes later, can\'t be told, as the form of messages to it is not public. "error": they are errors. '
        '"none": policies go on without it, and score_af gives the score.',
        "error",
    )
    minimum_score: int = key(
        integer(0, 100),
        "The score (0 to 100) above which msys.cloudmark.score says is_spam; other scanners' scores are scaled so that "
        "theirs is this one. 0: it never says so, and theirs is 50.",
        0,
    )


def check(scanners: Sequence[Scanner], antivirus: Antivirus, engines: Engines, source: Source) -> None:
    """Raises ConfigError where the tables do not fit together."""
    kinds: dict[str, str] = {}
    default = Scanner("", "")
    for index, scanner in enumerate(scanners):
        at = ("scanner", index)
        if not 1 <= len(scanner.name) <= 40:
            raise source.error((*at, "name"), f"expected a name of 1 to 40 characters, got {len(scanner.name)}")
        if scanner.name in kinds:
            raise source.error((*at, "name"), f'there are two scanners "{scanner.name}"')
        kinds[scanner.name] = scanner.kind
        for kind, name in (("command", "command"), ("icap", "service")):
            if scanner.kind == kind and not getattr(scanner, name):
                raise source.error(at, f'[[scanner]] {scanner.name}: the kind "{kind}" needs the key "{name}"')
        if scanner.tls and any(server.family == "unix" for server in scanner.servers):
            raise source.error((*at, "tls"), "[[scanner]] tls: the name of a Unix socket is in no certificate")
        for name in ("ca_file", "certificate", "private_key"):
            if getattr(scanner, name) and not scanner.tls:
                raise source.error((*at, name), f"[[scanner]] {name}: without tls = true it would mean nothing")
        if scanner.private_key and not scanner.certificate:
            raise source.error((*at, "private_key"), "[[scanner]] private_key: it belongs to a certificate")
        for name, of in _ONLY.items():
            if scanner.kind not in of and getattr(scanner, name) != getattr(default, name):
                raise source.error((*at, name), f'[[scanner]] {name}: the kind "{scanner.kind}" knows no such key')
    for at_index, name in enumerate(antivirus.engines):
        if kinds.get(name) not in ANTIVIRUS:
            problem = "there is no such [[scanner]]" if name not in kinds else f"{kinds[name]} finds no viruses"
            raise source.error(("antivirus", "engines", at_index), f'[antivirus] engines: "{name}": {problem}')
    for function in ("brightmail", "symantec_beik", "cloudmark", "commtouch", "expurgate", "spamc"):
        name = getattr(engines, function)
        if name and name not in kinds:
            raise source.error(("engines", function), f'[engines] {function}: there is no [[scanner]] "{name}"')
