"""What a policy gets of a scanner's answer: a verdict in every function's words, and what [antivirus] makes of it."""

from __future__ import annotations

import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumilter.adapters.dns import FixtureResolver
from lumilter.adapters.scanners.contract import Result, Sample, ScanError, Verdict
from lumilter.adapters.scanners.service import Scanners
from lumilter.api.opinions import MIDDLE, is_spam, line_of, read, score_of
from lumilter.host.tasks import Limits
from lumilter.services import Services
from lumilter.session.events import Action, Data, EndOfMessage, Helo, Mail, Rcpt
from support.clamd import CUSTOM, clamd
from support.policy import HEADERS, Policy, policy
from support.scanners import program, scanner, serving, with_engine

SCAN = """
    require("msys.av") require("msys.core")
    function mod:validate_data(msg, ac, vctx)
      local rc, info, engine, code = msys.av.scan(nil, msg, vctx)
      print(rc, info, engine, code)
    end
"""


@dataclass
class Says:
    """An engine that says what a test wants; seen: the samples."""

    answer: Callable[[Sample], Result]
    kind: str = "says"
    messages_only: bool = False
    wants_envelope: bool = False

    def scan(self, sample: Sample, server: Any, deadline: float) -> Result:
        return self.answer(sample)


def services(scanners: Scanners) -> Services:
    return Services(FixtureResolver({"a.example": {"A": ["192.0.2.80"]}}), hostname="mx.example.com", scanners=scanners)


def saying(*answers: Result | ScanError, **settings: Any) -> Scanners:
    """Engines e1, e2 ... each of which always gives one of the answers."""

    def give(answer: Result | ScanError) -> Callable[[Sample], Result]:
        def say(sample: Sample) -> Result:
            if isinstance(answer, ScanError):
                raise ScanError(answer.word, str(answer))
            return answer

        return say

    engines = [with_engine(Says(give(answer)), name=f"e{n}", retries=0) for n, answer in enumerate(answers, 1)]
    return serving(*engines, **settings)


@contextmanager
def running(directory: Path, text: str, scanners: Scanners, **settings: Any) -> Iterator[Policy]:
    with policy(directory, text, services=services(scanners), **settings) as made:
        yield made


CLEAN = Result(Verdict.CLEAN, code="OK")
VIRUS = Result(Verdict.INFECTED, "A.Virus", code="FOUND")
CLOSED = Result(Verdict.UNSCANNABLE, "encrypted", code="FOUND")
DOWN = ScanError("down", "Connection refused")
REFUSED = "e2: Connection refused"
NOT_SCANNED = "the message could not be scanned for viruses"
VARIABLES = """
    print(vctx:get(msys.core.VCTX_MESS, "%s"), vctx:get(msys.core.VCTX_MESS, "%s_info"), vctx.code, vctx.note)
"""


# --- msys.av ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "line", "blamed", "variables"),
    [
        ((CLEAN,), "0\t\tnil\tOK", "e1", "\t\t250\tnil"),
        ((VIRUS,), "1\tA.Virus\te1\tFOUND", "e1", "virus\tA.Virus\t550\tvirus found: A.Virus"),
        ((CLEAN, VIRUS), "1\tA.Virus\te2\tFOUND", "e2", "virus\tA.Virus\t550\tvirus found: A.Virus"),
        ((DOWN, VIRUS), "1\tA.Virus\te2\tFOUND", "e2", "virus\tA.Virus\t550\tvirus found: A.Virus"),
        (
            (CLOSED, CLEAN), "2\tencrypted\tnil\tFOUND", "e1",
            "unscannable\tencrypted\t550\tunscannable content found: encrypted",
        ),
        ((CLEAN, DOWN), f"3\t{REFUSED}\tnil\tnil", "e2", f"error\t{REFUSED}\t451\t{NOT_SCANNED}"),
        ((CLOSED, DOWN), f"3\t{REFUSED}\tnil\tnil", "e2", f"error\t{REFUSED}\t451\t{NOT_SCANNED}"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("action", ["pass", "reject"])
@pytest.mark.parametrize("variable", ["", "found"])
def test_what_the_engines_said(
    tmp_path: Path, answers: tuple[Any, ...], line: str, blamed: str, variables: str, action: str, variable: str
) -> None:
    name = variable or f"{blamed}_status"
    text = SCAN.replace("    end\n", VARIABLES % (name, name) + "    end\n")
    with running(tmp_path, text, saying(*answers, action=action, context_variable=variable)) as run:
        outcomes = run.send()
    assert not run.errors
    if action == "pass":
        variables = re.sub(r"\t(550|451)\t.*", "\t250\tnil", variables)
    assert run.printed == [line, variables]
    refused = action == "reject" and answers != (CLEAN,)
    assert (outcomes[-1].reply is not None) == refused
    if outcomes[-1].reply is not None:
        assert outcomes[-1].reply.code == (451 if "error" in variables else 550)


def test_the_engines_after_a_virus_are_not_asked(tmp_path: Path) -> None:
    asked: list[str] = []

    def say(result: Result, name: str) -> Callable[[Sample], Result]:
        return lambda sample: [asked.append(name), result][1]  # type: ignore[func-returns-value, return-value]

    engines = [with_engine(Says(say(result, name)), name=name) for result, name in ((VIRUS, "a"), (CLEAN, "b"))]
    with running(tmp_path, SCAN, serving(*engines)) as run:
        run.send()
    assert asked == ["a"]


def test_nothing_is_configured(tmp_path: Path) -> None:
    functions = {
        "msys.brightmail.scan(msg, ac, vctx)": ("brightmail", "brightmail"),
        "msys.cloudmark.score()": ("cloudmark", "cloudmark"),
        "msys.commtouch.diagnose()": ("commtouch", "commtouch"),
        "msys.expurgate.scan()": ("expurgate", "expurgate"),
    }
    calls = "".join(f"print({call})\n" for call in functions)
    text = f"""
        require("msys.av")
        function mod:validate_data(msg, ac, vctx)
          print(#msys.av.engines(), msys.av.scan() == msys.av.EC_AV_NO_ENGINE, select(2, msys.av.scan("clamav")))
          {calls}
          print(msys.symantec_beik.scan(msg, vctx))
          msys.spamc.spamc_scan(msg)
          print(vctx:get(msys.core.VCTX_MESS, "spamc_status"), vctx:get(msys.core.VCTX_MESS, "brightmail::error"))
          local mess = msys.core.VCTX_MESS
          print(vctx:get(mess, "eleven-majorscore"), vctx:get(mess, "eleven-result-subtype"))
        end
    """
    with running(tmp_path, text, Scanners()) as run:
        run.send()
    assert not run.errors
    none = "no engine is configured: a [[scanner]] that finds viruses is needed in the configuration"
    has = "has no engine: [engines] {} names none in the configuration"
    assert run.printed == [
        f"0\ttrue\t{none}\tnil\tnil",
        *(f"nil\t{call.partition('(')[0]} {has.format(key)}" for call, (key, _) in functions.items()),
        f"0\tmsys.symantec_beik.scan {has.format('symantec_beik')}\tnil\tnil",
        f"failed\tmsys.brightmail.scan {has.format('brightmail')}",
        f"error\tmsys.expurgate.scan {has.format('expurgate')}",
    ]


def test_engines_that_take_whole_messages(tmp_path: Path) -> None:
    engine = with_engine(Says(lambda sample: CLEAN, messages_only=True), name="cyren")
    text = """
        require("msys.av")
        function mod:validate_data(msg)
          print(msys.av.scan_part(msg:mime()))
          print(msys.av.scan())
        end
    """
    with running(tmp_path, text, serving(engine)) as run:
        run.send()
    assert run.printed == ["7\tcyren scans whole messages only\tnil\tnil", "0\t\tnil\tOK"]


def test_the_message_as_it_stands(tmp_path: Path) -> None:
    seen: list[Sample] = []

    def say(sample: Sample) -> Result:
        seen.append(sample)
        return CLEAN

    text = """
        require("msys.av")
        function mod:validate_data(msg)
          msg:header("Subject", "changed")
          msys.av.scan()
          local part = msg:mime()
          msys.av.scan_part(part)
        end
        function mod:validate_data_spool_each_rcpt(msg)
          msys.av.scan()
        end
    """
    headers = (*HEADERS, (b"Content-Type", b" text/plain"), (b"Content-Transfer-Encoding", b" base64"))
    with running(tmp_path, text, serving(with_engine(Says(say), cache=0))) as run:
        run.send(recipients=("bob@example.com", "carol@example.com"), headers=headers, body=b"aGVsbG8=\r\n")
    assert not run.errors
    whole, part, bob, carol = seen
    assert b"".join(whole.pieces).startswith(b"From: Ann <ann@example.org>\r\nTo: bob@example.com\r\n")
    assert b"\r\nSubject: changed\r\n" in b"".join(whole.pieces)
    assert b"".join(whole.pieces).endswith(b"\r\n\r\naGVsbG8=\r\n")
    assert (whole.envelope.sender, whole.envelope.recipients) == (
        "ann@example.org",
        ("bob@example.com", "carol@example.com"),
    )
    assert (whole.envelope.client_ip, whole.envelope.helo) == ("192.0.2.1", "client.example")
    assert (whole.envelope.ident, whole.envelope.receiver) == ("QUEUEID", "mx.example.com")
    assert (part.pieces, part.whole) == ((b"hello",), False)
    assert (bob.envelope.recipients, carol.envelope.recipients) == (("bob@example.com",), ("carol@example.com",))


def test_ten_thousand_parts(tmp_path: Path) -> None:
    """Each is scanned; the same content is only asked about once."""
    parts = b"--b\r\nContent-Type: application/octet-stream\r\n\r\nx\r\n" * 9_990
    body = parts + b"--b\r\n\r\n" + CUSTOM + b"\r\n--b--\r\n"
    headers = (*HEADERS, (b"Content-Type", b" multipart/mixed; boundary=b"))
    text = """
        require("msys.av")
        function mod:validate_data(msg)
          local counts, part = {}, msg:mime()
          while part do
            local rc = msys.av.scan_part(part)
            counts[rc] = (counts[rc] or 0) + 1
            part = part.thread
          end
          print(counts[msys.av.EC_AV_PART_IS_CONTAINER], counts[msys.av.EC_AV_CLEAN], counts[msys.av.EC_AV_INFECTED])
        end
    """
    with (
        tempfile.TemporaryDirectory(prefix="lumilter-clamd-", dir="/tmp") as name,
        clamd(Path(name)) as daemon,
        running(tmp_path, text, serving(scanner("clamd", [daemon.unix])), limits=Limits(20_000_000, 120)) as run,
    ):
        run.send(headers=headers, body=body)
    assert not run.errors
    assert run.printed == ["1\t9990\t1"]


def test_a_scanner_that_hangs_delays_no_other_session(tmp_path: Path) -> None:
    """More sessions than threads of its own wait for it; one that looks something up goes on meanwhile."""
    gate, begun = threading.Event(), threading.Semaphore(0)

    def hang(sample: Sample) -> Result:
        begun.release()
        gate.wait(60)
        return CLEAN

    text = """
        require("msys.av")
        function mod:validate_mailfrom(str)
          print(msys.dnsLookup("a.example", "a")[1])
        end
        function mod:validate_data(msg) print((msys.av.scan())) end
    """
    scanners = serving(with_engine(Says(hang), concurrency=2, cache=0, timeout=60))
    with running(tmp_path, text, scanners, limits=Limits(20_000_000, 100)) as run:
        threads = [threading.Thread(target=run.send) for _ in range(20)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            assert begun.acquire(timeout=60)
        until = time.monotonic() + 60
        while run.printed.count("192.0.2.80") < 20 and time.monotonic() < until:
            time.sleep(0.01)
        with run.conversation() as conversation:
            for event in (
                Helo("client.example"),
                Mail("<ann@example.org>"),
                Rcpt("<bob@example.com>"),
                Data({"i": "Q"}),
            ):
                assert conversation.handle(event).reply is None
        assert run.printed == ["192.0.2.80"] * 21
        gate.set()
        for thread in threads:
            thread.join(100)
    assert run.printed[21:] == ["0"] * 20
    assert not run.errors


def test_a_hook_hears_of_a_failure_before_its_own_deadline(tmp_path: Path) -> None:
    with running(tmp_path, SCAN, serving(program("sleep 100", timeout=60)), limits=Limits(20_000_000, 5)) as run:
        outcomes = run.send()
    assert not run.errors
    assert run.printed == ["3\tprogram: no answer in time\tnil\tnil"]
    assert outcomes[-1].action is Action.CONTINUE


def test_a_hook_that_is_given_up_leaves_its_scan_behind(tmp_path: Path) -> None:
    """The message is over and its body gone, and the scan still reads it."""
    gate, read = threading.Event(), list[int]()

    def slow(sample: Sample) -> Result:
        gate.wait(60)
        read.append(sum(bytes(piece).count(b"z") for piece in sample.pieces))
        return CLEAN

    scanners = serving(with_engine(Says(slow), timeout=60))
    with running(tmp_path, SCAN, scanners, limits=Limits(20_000_000, 1.0)) as run, run.conversation() as conversation:
        for event in (Helo("c"), Mail("<ann@example.org>"), Rcpt("<bob@example.com>"), Data({"i": "Q"})):
            conversation.handle(event)
        body = memoryview(b"z" * 100_000)
        outcome = conversation.handle(EndOfMessage(HEADERS, body, {"i": "Q"}))
        assert outcome.reply is not None
        assert outcome.reply.code == 451
        body.release()
        gate.set()
        until = time.monotonic() + 60
        while not read and time.monotonic() < until:
            time.sleep(0.01)
    assert read == [100_000]


# --- the others -------------------------------------------------------------------------------------------------------

SPAM = Result(Verdict.SPAM, score=10.0, required=5.0, rules=("R1", "R2"))
HAM = Result(Verdict.CLEAN, score=1.0, required=5.0, rules=("R1",))
CYREN = Result(Verdict.BULK, details={"spam": "bulk", "virus": "medium", "refid": "str=1"})
OWN = Result(
    Verdict.SPAM, score=97.0, required=90.0, details={"analysis": "v=2.3 cv=x", "category": "7", "rescan": "1"}
)
TABLE = """
    local function show(t)
      local keys = {}
      for k, v in pairs(t) do keys[#keys + 1] = k .. "=" .. tostring(v) end
      table.sort(keys)
      return table.concat(keys, "|")
    end
"""


SPAM_LINE = "lumilter=1; engine=e1; verdict=spam; score=100; rules=R1,R2"
HAM_LINE = "lumilter=1; engine=e1; verdict=clean; score=16; rules=R1"


@pytest.mark.parametrize(
    ("result", "call", "shown"),
    [
        (SPAM, "msys.brightmail.scan(msg, ac, vctx)", f"spam\tfalse\tR1 R2\t{SPAM_LINE}"),
        (HAM, "msys.brightmail.scan(msg, ac, vctx)", f"inbox\ttrue\tR1\t{HAM_LINE}"),
        (SPAM, "msys.symantec_beik.scan(msg, vctx)", f"1\tis-spam\t0\t{SPAM_LINE}"),
        (SPAM, "msys.expurgate.scan()", "3\t0\tspam\tnormal"),
        (CYREN, "msys.expurgate.scan()", "4\t0\tbulk\tnormal"),
        (CYREN, "show(msys.commtouch.diagnose())", "class=Bulk|ref-id=str=1|virus-threat=medium"),
        (SPAM, "show(msys.commtouch.diagnose())", f"class=Spam|ref-id={SPAM_LINE}|virus-threat=non-virus"),
        (
            SPAM,
            "show(msys.cloudmark.score())",
            f"analysis={SPAM_LINE}|category-desc=|category=spam|is_spam=true|rescan=no|score=100|sub-category-desc=|"
            "sub-category=R1",
        ),
        (
            OWN,
            "show(msys.cloudmark.score())",
            "analysis=v=2.3 cv=x|category-desc=|category=7|is_spam=true|rescan=yes|score=97|sub-category-desc=|"
            "sub-category=",
        ),
        (OWN, 'show(msys.cloudmark.score()) == show(msys.cloudmark.analyze(" v=2.3 cv=x"))', "true"),
        (
            SPAM,
            "msys.spamc.spamc_scan(msg) or vctx:get(msys.core.VCTX_MESS, 'spamc_score'),"
            "vctx:get(msys.core.VCTX_MESS, 'spamc_symbols')",
            "10.00\tR1,R2",
        ),
    ],
)
def test_a_verdict_in_every_functions_words(tmp_path: Path, result: Result, call: str, shown: str) -> None:
    text = f"{TABLE} function mod:validate_data(msg, ac, vctx) print({call}) end"
    with running(tmp_path, text, saying(result, minimum_score=80)) as run:
        run.send()
    assert not run.errors
    assert run.printed == [shown]


def test_a_minimum_score_that_is_not_there(tmp_path: Path) -> None:
    text = "function mod:validate_data(msg) print(msys.cloudmark.score().is_spam) end"
    with running(tmp_path, text, saying(SPAM)) as run:
        run.send()
    assert run.printed == ["nil"]


RESULTS = st.builds(
    Result,
    verdict=st.sampled_from([v for v in Verdict if v is not Verdict.UNSCANNABLE]),
    score=st.none() | st.floats(-1e9, 1e9),
    required=st.none() | st.floats(-1e3, 1e3),
    rules=st.lists(st.text(max_size=20), max_size=30).map(tuple),
    scanner=st.text(max_size=40),
)


@given(RESULTS, st.integers(0, 99))
def test_scores(result: Result, minimum: int) -> None:
    """What is spam is above the line, what is not is not, and a line of it can be read again."""
    score = score_of(result, minimum)
    assert 0 <= score <= 100
    assert (score > (minimum or MIDDLE)) == is_spam(result)
    line = line_of(result, score)
    assert line.isascii()
    assert "\n" not in line
    found = read(f" {line} ")
    assert found is not None
    assert (found["verdict"], found["score"]) == (str(result.verdict), str(score))


ACTIVE_FILTER = (
    'set_af_mode_discard()', 'set_af_mode_keep()', 'set_af_mode_movemsg("Inbox", "Spam", "no")',
    'set_af_msi_address("msi@msi.local")', 'add_af_data("bob@example.com", {})', "score_af(msg, ac, vctx, 90)",
)  # fmt: skip


@pytest.mark.parametrize("call", ACTIVE_FILTER)
def test_active_filter_is_an_error_unless_the_configuration_goes_on_without_it(tmp_path: Path, call: str) -> None:
    code = f'require("msys.cloudmark") function mod:validate_data(msg, ac, vctx) msys.cloudmark.{call} end'
    with policy(tmp_path, code, services=services(Scanners())) as running:
        running.send()
    assert f"msys.cloudmark.{call.partition('(')[0]}: there is no ActiveFilter" in str(running.errors[0])
    assert '[engines] active_filter = "none"' in str(running.errors[0])
