"""adapters.pcre: what matches, what a hostile subject may cost, and that threads can share it."""

from __future__ import annotations

import gc
import re
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.adapters import pcre, pcre_code, pcre_ffi
from lumilter.adapters.pcre import Limits, MatchLimitError, PatternError
from lumilter.errors import LumilterError

INTERPRETED = b"(*NO_JIT)"


def groups(subject: bytes, pattern: bytes) -> list[bytes | None] | None:
    found = pcre.match(subject, pattern)
    return None if found is None else found.groups


# --- match ------------------------------------------------------------------------------------------------------------


def test_captures() -> None:
    assert groups(b"hello there", rb"^(\S+)\s+(\S+)$") == [b"hello there", b"hello", b"there"]
    assert groups(b"hello there", rb"\S+\s") == [b"hello "]
    assert groups(b"hello there", rb"^there") is None


@pytest.mark.parametrize("syntax", [b"(?P<name>%s)", b"(?<name>%s)", b"(?'name'%s)"])
def test_named_captures(syntax: bytes) -> None:
    found = pcre.match(b"user@example.com", syntax.replace(b"name", b"local") % b"[^@]+" + b"@(?<domain>.+)")
    assert found is not None
    assert found.names == {"local": 1, "domain": 2}
    assert found.groups[1:] == [b"user", b"example.com"]


def test_a_name_may_be_utf8() -> None:
    found = pcre.match(b"x", "(?<größe>x)".encode())
    assert found is not None and found.names == {"größe": 1}


def test_unset_groups_are_none() -> None:
    assert groups(b"b", b"(a)?(b)(c)?") == [b"b", None, b"b", None]
    assert groups(b"b", b"(a*)b") == [b"b", b""]


def test_of_duplicate_names_the_one_that_took_part() -> None:
    pattern = b"(?J)(?:(?<n>a)x|(?<n>b)y|(?<n>c)z)"
    for subject, group in ((b"ax", 1), (b"by", 2), (b"cz", 3)):
        found = pcre.match(subject, pattern)
        assert found is not None and found.names == {"n": group}


def test_nul_in_subject_and_pattern() -> None:
    assert groups(b"a\0b\0c", b"a\0(b)\0") == [b"a\0b\0", b"b"]
    assert groups(b"a\0b", rb"a\x00b") == [b"a\0b"]
    assert groups(b"ab", b"a\0b") is None


def test_utf8_is_matched_by_character() -> None:
    assert groups("né".encode(), b"^n.$") == ["né".encode()]
    assert groups("É".encode(), "(?i)^é$".encode()) == ["É".encode()]
    assert groups("☺".encode(), rb"^\x{263a}$") == ["☺".encode()]


@pytest.mark.parametrize("prefix", [b"", INTERPRETED])
def test_bytes_that_are_not_utf8_match_nothing_but_do_not_hide_the_rest(prefix: bytes) -> None:
    assert groups(b"caf\xe9 viagra \xff", prefix + rb"\bv[i1]agra\b") == [b"viagra"]
    assert groups(b"caf\xe9", prefix + b"^caf.$") is None
    assert pcre.replace(b"\xe9a\xffa", prefix + b"a", b"b") == b"\xe9b\xffb"
    assert pcre.split(b"\xe9 \xff b", prefix + b" ") == [b"\xe9", b"\xff", b"b"]


def test_momentum_constructs_that_re_does_not_have() -> None:
    assert groups(b"((x))", rb"^(\((?:x|(?1))\))$") == [b"((x))", b"((x))"]
    assert groups(b"aab", b"^(?:a++)b") == [b"aab"]
    assert groups(b"foobar", rb"foo\Kbar") == [b"bar"]
    assert groups("Ж".encode(), rb"^\p{Cyrillic}$") == ["Ж".encode()]


# --- errors and limits ------------------------------------------------------------------------------------------------


def test_a_pattern_that_does_not_compile() -> None:
    with pytest.raises(PatternError, match="missing closing parenthesis") as caught:
        pcre.match(b"x", b"asd(")
    assert (caught.value.code, caught.value.offset) == (114, 4)
    assert isinstance(caught.value, LumilterError)


@pytest.mark.parametrize("pattern", [b"", b"[", b"*", b"(?<n", b"\\", b"a{2,1}", b"\xff", b"(?P>x)", rb"a\Cb"])
@pytest.mark.parametrize("call", [pcre.match, lambda s, p: pcre.replace(s, p, b""), pcre.split])
def test_bad_patterns_are_errors_in_every_function(call: Callable[[bytes, bytes], object], pattern: bytes) -> None:
    with pytest.raises(PatternError):
        call(b"x", pattern)


@pytest.mark.parametrize("prefix", [b"", INTERPRETED])
@pytest.mark.parametrize(
    "pattern", [rb"(a+)+$", rb"(a|aa)+$", rb"(?:a|a?)+$", rb"a*a*a*a*a*a*(?:b|c)", rb"(.*)*\d(?<!a!)"]
)
def test_runaway_backtracking_hits_the_limit(prefix: bytes, pattern: bytes) -> None:
    with pytest.raises(MatchLimitError, match="limit") as caught:
        pcre.match(b"a" * 400 + b"!", prefix + pattern)
    assert caught.value.code == -47


def test_limits_are_the_callers() -> None:
    subject, pattern = b"a" * 12 + b"!", rb"(a+)+$"
    assert pcre.match(subject, pattern) is None
    with pytest.raises(MatchLimitError):
        pcre.match(subject, pattern, Limits(100))
    assert pcre.match(subject, pattern) is None


def test_depth_and_heap_limit_the_interpreter() -> None:
    subject, pattern = b"a" * 10_000, INTERPRETED + rb"(?:(a)|b)*$"
    assert pcre.match(subject, pattern) is not None
    for limits, code in ((Limits(depth=100), -53), (Limits(heap_kib=20), -63)):
        with pytest.raises(MatchLimitError) as caught:
            pcre.match(subject, pattern, limits)
        assert caught.value.code == code


@pytest.mark.skipif(not pcre_ffi.has_jit(), reason="this libpcre2 has no JIT for this processor")
def test_the_jit_stack_is_bounded_by_the_heap_limit() -> None:
    subject, pattern = b"a" * 50_000, rb"(?:(a)|b)*$"
    assert pcre.match(subject, pattern) is not None
    with pytest.raises(MatchLimitError) as caught:
        pcre.match(subject, pattern, Limits(heap_kib=64))
    assert caught.value.code == -46


def test_a_limit_within_replace_and_split_is_an_error_not_a_shorter_result() -> None:
    subject, pattern = b"x,x," + b"a" * 400 + b"!", rb"x|(a+)+$"
    with pytest.raises(MatchLimitError):
        pcre.replace(subject, pattern, b"")
    with pytest.raises(MatchLimitError):
        pcre.split(subject, pattern)


def test_a_missing_library_names_the_package() -> None:
    with pytest.raises(LumilterError, match="apt install libpcre2-8-0"):
        pcre_ffi.library("libpcre2-8.so.does-not-exist")


# --- replace ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replacement", "result"),
    [
        (rb"slow", b"the slow, slow!"),
        (rb"$1-$2", b"the qu-k, qu-k!"),
        (rb"\1-\2", b"the qu-k, qu-k!"),
        (rb"${1}1${2}", b"the qu1k, qu1k!"),
        (rb"<$0>", b"the <quick>, <quick>!"),
        (rb"<${0}\0>", b"the <quickquick>, <quickquick>!"),
        (rb"${a}:${b}", b"the qu:, qu:!"),
        (rb"$9${none}$99999999999999999999", b"the , !"),
        (rb"\$1 \\1", rb"the $1 \1, $1 \1!"),
        (rb"$x\n$", b"the xn, xn!"),
        (rb"${1", b"the qu, qu!"),
        (rb"${a", b"the qu, qu!"),
        (rb"${1x}", b"the qux}, qux}!"),
        (b"\0\xff$", b"the \0\xff, \0\xff!"),
        (b"", b"the , !"),
    ],
)
def test_replacement(replacement: bytes, result: bytes) -> None:
    assert pcre.replace(b"the quick, quick!", b"(?<a>qu)ic(k)(?<b>z)?", replacement) == result


def test_replace_goes_on_after_empty_matches_by_character() -> None:
    assert pcre.replace("aéb".encode(), b"x*", b"-") == "-a-é-b-".encode()
    assert pcre.replace(b"abc", b"b*", b"-") == b"-a--c-"
    assert pcre.replace(b"aaa", rb"a\K", b"-") == b"a-a-a-"
    assert pcre.replace(b"", b"^", b"x") == b"x"
    assert pcre.replace(b"a\nb\n", b"(?m)^", b"> ") == b"> a\n> b\n"


def test_replace_at_most() -> None:
    assert pcre.replace(b"aaaa", b"a", b"b", limit=2) == b"bbaa"
    assert pcre.replace(b"aaaa", b"a", b"b", limit=0) == b"aaaa"


def test_lookbehind_sees_what_was_already_replaced() -> None:
    assert pcre.replace(b"aaa", b"(?<!a)a", b"b") == b"baa"


# --- split ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "pattern", "pieces"),
    [
        (b"the quick  fox", rb"\s+", [b"the", b"quick", b"fox"]),
        (b",a,,b,", b",", [b"a", b"b"]),
        (b"a1b2c", rb"(\d)", [b"a", b"b", b"c"]),
        (b"abc", b"x*", [b"a", b"b", b"c"]),
        (b"abc", b",", [b"abc"]),
        (b"", b",", []),
        (b",,", b",", []),
        (b"a\0b", b"\0", [b"a", b"b"]),
    ],
)
def test_split(subject: bytes, pattern: bytes, pieces: list[bytes]) -> None:
    assert pcre.split(subject, pattern) == pieces


def test_split_at_most() -> None:
    assert pcre.split(b"a b c d", b" ", limit=3) == [b"a", b"b", b"c d"]
    assert pcre.split(b"a b c d", b" ", limit=1) == [b"a b c d"]
    assert pcre.split(b"a b", b" ", limit=9) == [b"a", b"b"]


# --- the cache, threads -----------------------------------------------------------------------------------------------


def test_the_cache_is_bounded_and_keeps_what_is_used() -> None:
    cache = pcre_code.Cache(3)
    kept = cache.get(b"kept")
    for n in range(20):
        cache.get(b"%d" % n)
        assert cache.get(b"kept") is kept
        assert len(cache) <= 3


def test_an_evicted_pattern_lives_until_its_last_user_is_done() -> None:
    cache = pcre_code.Cache(1)
    code = cache.get(b"(a)(b)")
    gone = weakref.ref(code)
    cache.get(b"other")
    with pcre_code.MatchData(code) as data, pcre_ffi.Bytes(b"ab") as octets:
        assert code.run(octets, 0, 0, data, pcre_code.workspace(Limits())) == 3
        assert data.pairs() == [0, 2, 0, 1, 1, 2]
    del code
    gc.collect()
    assert gone() is None


def test_threads_share_patterns_while_they_are_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcre, "cache", pcre_code.Cache(4))
    start = threading.Barrier(8)

    def work(seed: int) -> int:
        start.wait()
        for n in range(300):
            word = b"w%d" % ((seed * 7 + n) % 13)
            assert groups(b"-" + word + b"-", b"-(" + word + b")-") == [b"-" + word + b"-", word]
            assert pcre.replace(b"x" + word, word + b"$", b"y") == b"xy"
            if n % 50 == 0:
                with pytest.raises(MatchLimitError):
                    pcre.match(b"a" * 40 + b"!", b"(a+)+$", Limits(20_000 + seed))
        return seed

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == list(range(8))


# --- against Python's re, where the two languages are the same --------------------------------------------------------

atoms = st.sampled_from(["a", "b", "é", r"\d", r"\x00", "[ab]", "[^a]", "(?:ab)", "(a)", "(b|é)", "(?<=a)", "(?!b)"])
quantified = st.tuples(atoms, st.sampled_from(["", "", "?", "*", "+", "{1,2}", "*?"])).map(
    lambda pair: pair[0] if pair[0].startswith(("(?<", "(?!")) else "".join(pair)
)
patterns = st.lists(quantified, min_size=1, max_size=4).map("".join)
subjects = st.text(alphabet="abé1\0\n", max_size=12)


@settings(max_examples=200, deadline=None)
@given(patterns, subjects)
def test_as_re(pattern: str, subject: str) -> None:
    compiled, raw, source = re.compile(pattern, re.ASCII), subject.encode(), pattern.encode()
    wanted = compiled.search(subject)
    expected = wanted and [g if g is None else g.encode() for g in (wanted[0], *wanted.groups())]
    assert groups(raw, source) == expected
    assert groups(raw, INTERPRETED + source) == expected
    assert pcre.replace(raw, source, b"<$0>") == compiled.sub(r"<\g<0>>", subject).encode()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.sampled_from([b"a*", b".", rb"\s*", rb"(?s).*?", rb"\b", b"[^\x01]?", rb"\W"]))
def test_any_bytes_survive(subject: bytes, pattern: bytes) -> None:
    assert pcre.replace(subject, pattern, b"$0") == subject
    assert pcre.replace(subject, INTERPRETED + pattern, b"$0") == subject


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=12), st.binary(max_size=12), st.binary(max_size=12))
def test_any_pattern_and_replacement_give_bytes_or_our_error(
    subject: bytes, pattern: bytes, replacement: bytes
) -> None:
    try:
        assert isinstance(pcre.replace(subject, pattern, replacement, Limits(10_000)), bytes)
        assert all(pcre.split(subject, pattern, Limits(10_000)))
    except (PatternError, MatchLimitError) as error:
        assert error.message
