"""[[scanner]], [antivirus] and [engines]: what does not fit together is an error with its line; what does is made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lumilter.adapters.scanners.scanner import Terms
from lumilter.config import load
from lumilter.daemon.scanning import scanners_of
from lumilter.errors import ConfigError
from support.pages import DOCS

SCANNER = '[[scanner]]\nname = "av"\nkind = "clamd"\n'
RSPAMD = '[[scanner]]\nname = "av"\nkind = "rspamd"\n'


def written(directory: Path, text: str) -> Path:
    file = directory / "lumilter.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (SCANNER * 2, 5, 'there are two scanners "av"'),
        ('[[scanner]]\nname = ""\nkind = "clamd"\n', 2, "expected a name of 1 to 40 characters, got 0"),
        ('[[scanner]]\nname = "av"\n', 1, 'needs the key "kind"'),
        ('[[scanner]]\nname = "av"\nkind = "icap"\n', 1, 'the kind "icap" needs the key "service"'),
        ('[[scanner]]\nname = "av"\nkind = "command"\n', 1, 'the kind "command" needs the key "command"'),
        (SCANNER + 'service = "x"\n', 4, '[[scanner]] service: the kind "clamd" knows no such key'),
        (SCANNER + 'servers = ["localhost"]\n', 4, "expected"),
        (SCANNER + "tls = true\n", 4, '[[scanner]] tls: the kind "clamd" knows no such key'),
        (RSPAMD + 'tls = true\nservers = ["unix:/x"]\n', 4, "the name of a Unix socket is in no certificate"),
        (RSPAMD + 'ca_file = "x.pem"\n', 4, "[[scanner]] ca_file: without tls = true it would mean nothing"),
        (RSPAMD + 'tls = true\nprivate_key = "x.key"\n', 5, "[[scanner]] private_key: it belongs to a certificate"),
        (SCANNER + "timeout = 0\n", 4, "expected a number of seconds, 0.01 or more"),
        (SCANNER + 'threat = "("\n', 4, "expected a regular expression"),
        (SCANNER + 'threat = "x"\n', 4, "expected a regular expression with one group"),
        (SCANNER + 'kind2 = "x"\n', 4, 'did you mean "kind"?'),
        ('[[scanner]]\nname = "av"\nkind = "icap"\nservice = "a b"\n', 4, "the path of a service"),
        (SCANNER + '[antivirus]\nengines = ["av", "other"]\n', 5, 'engines: "other": there is no such [[scanner]]'),
        (
            '[[scanner]]\nname = "sa"\nkind = "spamd"\n[antivirus]\nengines = ["sa"]\n',
            5,
            '"sa": spamd finds no viruses',
        ),
        (SCANNER + '[antivirus]\naction = "drop"\n', 5, 'expected "pass" or "reject"'),
        (SCANNER + '[engines]\nbrightmail = "bm"\n', 5, '[engines] brightmail: there is no [[scanner]] "bm"'),
    ],
)
def test_what_is_wrong(tmp_path: Path, text: str, line: int, message: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert (caught.value.file, caught.value.line) == (str(file), line)
    assert message in caught.value.message


def test_files_that_can_not_be_used(tmp_path: Path) -> None:
    config = load(written(tmp_path, RSPAMD + 'tls = true\nca_file = "none.pem"\n'))
    with pytest.raises(ConfigError, match=r"\[\[scanner\]\] av: ca_file .*/none\.pem can't be used: No such file"):
        scanners_of(config)
    assert scanners_of(config, offline=True).by_name["av"].kind == "rspamd"


def test_what_is_made(tmp_path: Path) -> None:
    text = """
[[scanner]]
name = "clamav"
kind = "clamd"

[[scanner]]
name = "gate"
kind = "icap"
service = "avscan"
servers = ["inet:1344@192.0.2.1", "inet6:1344@[2001:db8::1]"]
timeout = 3
retries = 2
concurrency = 4
size_limit = "1M"
cache = 5
cache_time = 6
failures = 7
pause = 8

[[scanner]]
name = "spam"
kind = "rspamd"
password = "secret"

[antivirus]
action = "reject"

[engines]
cloudmark = "spam"
minimum_score = 80
"""
    config = load(written(tmp_path, text))
    made = scanners_of(config)
    assert [each.name for each in made.engines] == ["clamav", "gate"]
    assert made.by_name["gate"].terms == Terms(3, 2, 4, 1 << 20, 5, 6, 7, 8)
    assert made.by_name["clamav"].terms == Terms()
    assert made.antivirus.action == "reject"
    served = made.serving("cloudmark")
    assert served is not None
    assert (served.name, made.serving("brightmail"), made.minimum_score) == ("spam", None, 80)
    assert "secret" not in repr(config)


def test_the_antivirus_engines_are_those_that_are_named(tmp_path: Path) -> None:
    text = SCANNER + SCANNER.replace("av", "other") + '[antivirus]\nengines = ["other"]\n'
    assert [each.name for each in scanners_of(load(written(tmp_path, text))).engines] == ["other"]


def test_the_configurations_of_the_page(tmp_path: Path) -> None:
    """docs/scanners.md: its tables, all together."""
    blocks = re.findall(r"^```toml\n(.*?)^```", (DOCS / "scanners.md").read_text(), re.MULTILINE | re.DOTALL)
    made = scanners_of(load(written(tmp_path, "\n".join(blocks))))
    assert set(made.by_name) == {"clamav", "rspamd", "clamscan"}
    assert [each.name for each in made.engines] == ["clamav"]
    served = made.serving("brightmail")
    assert served is not None
    assert served.kind == "rspamd"
