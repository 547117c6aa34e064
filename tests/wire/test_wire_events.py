"""What a conversation is told: every event, exact to the byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lumilter.session.events import (
    Abort,
    Action,
    Close,
    Connect,
    Data,
    EndOfMessage,
    Event,
    Helo,
    Mail,
    Outcome,
    Rcpt,
)
from lumilter.session.needs import Needs
from support.milter_client import ALL_STEPS, HDR_LEADSPC, MilterClient
from support.wire_server import Address, Plan, WireServer

Start = Callable[..., WireServer]
Client = Callable[..., MilterClient]


def only(server: WireServer, kind: type[Event]) -> list[Event]:
    server.stop()
    return [event for event in server.told() if type(event) is kind]


def test_a_session(start: Start, client: Client, address: Address) -> None:
    server = start(address=address)
    mta = client(server)
    mta.macros("C", {"j": "mx.test", "{client_addr}": "192.0.2.1"})
    mta.connect("client.test", "4", "192.0.2.1", 40000)
    mta.macros("H", {"{tls_version}": "TLSv1.3"})
    mta.helo("client.test")
    mta.macros("M", {"{auth_authen}": "bob", "i": "4ZK3"})
    mta.mail("<a@client.test>", "SIZE=100", "BODY=8BITMIME")
    mta.macros("R", {"{rcpt_addr}": "b@mx.test"})
    mta.rcpt("<b@mx.test>", "NOTIFY=NEVER")
    mta.rcpt("<c@mx.test>")
    mta.data()
    mta.header("Subject", " one\n\ttwo")
    mta.header("subject", "three")
    mta.eoh()
    mta.body(b"body\r\n")
    assert mta.eom().kind == "continue"
    mta.quit()
    assert server.stop() == 0
    connect = {"j": "mx.test", "client_addr": "192.0.2.1"}
    helo = {**connect, "tls_version": "TLSv1.3"}
    mail = {**helo, "auth_authen": "bob", "i": "4ZK3"}
    rcpt = {**mail, "rcpt_addr": "b@mx.test"}
    told = server.told()
    assert told[:4] == [
        Connect("client.test", "inet", "192.0.2.1", 40000, connect),
        Helo("client.test", helo),
        Mail("<a@client.test>", ("SIZE=100", "BODY=8BITMIME"), mail),
        Rcpt("<b@mx.test>", ("NOTIFY=NEVER",), rcpt),
    ]
    assert isinstance(told[4], Rcpt)
    assert told[4].address == "<c@mx.test>"
    assert isinstance(told[5], Data)
    assert isinstance(told[6], EndOfMessage)
    assert told[6].headers == ((b"Subject", b" one\n\ttwo"), (b"subject", b"three"))
    assert told[6].body == b"body\r\n"
    assert told[7:] == [Close()]


@pytest.mark.parametrize(
    ("family", "text", "expected"),
    [
        ("4", "198.51.100.7", ("inet", "198.51.100.7", 40000)),
        ("6", "IPv6:2001:db8::1", ("inet6", "2001:db8::1", 40000)),
        ("6", "2001:db8::2", ("inet6", "2001:db8::2", 40000)),
        ("L", "/run/client.sock", ("unix", "/run/client.sock", 0)),
        ("U", "", ("unknown", "", 0)),
    ],
)
def test_the_families_of_a_client(
    start: Start, client: Client, family: str, text: str, expected: tuple[str, str, int]
) -> None:
    server = start()
    mta = client(server)
    mta.connect("[client]", family, text, 40000)
    mta.quit()
    (event,) = only(server, Connect)
    assert isinstance(event, Connect)
    assert (event.family, event.address, event.port) == expected


def test_eight_bit_envelope_and_macros_survive(start: Start, client: Client) -> None:
    server = start()
    mta = client(server)
    mta.connect()
    mta.helo()
    mta.macros("M", {"{auth_authen}": b"m\xfcller"})
    mta.mail(b"<\xe4@client.test>", b"X=\xff")
    mta.rcpt(b"<\xc3\xa4@mx.test>")
    mta.close()
    (mail,), (rcpt,) = only(server, Mail), only(server, Rcpt)
    assert isinstance(mail, Mail)
    assert isinstance(rcpt, Rcpt)
    assert mail.address.encode("utf-8", "surrogateescape") == b"<\xe4@client.test>"
    assert mail.params == ("X=\udcff",)
    assert mail.macros == {"auth_authen": "m\udcfcller"}
    assert rcpt.address == "<ä@mx.test>"


@pytest.mark.parametrize("wire", ["libmilter"])
def test_an_eight_bit_helo_is_told_and_its_answer_given_to_the_next_command(start: Start, client: Client) -> None:
    """pymilter can't decode it and does not call us: libmilter has already said CONTINUE when it is made up for."""
    server = start(Plan(answers={"Helo m\udcfcller": Outcome(Action.REJECT)}))
    mta = client(server)
    mta.connect()
    assert mta.helo(b"m\xfcller").kind == "continue"
    assert mta.mail().kind == "reject"
    assert mta.helo("client.test").kind == "continue"
    assert mta.message().kind == "continue"
    mta.quit()
    assert [event.name for event in only(server, Helo) if isinstance(event, Helo)] == ["m\udcfcller", "client.test"]


@pytest.mark.parametrize("wire", ["libmilter"])
def test_an_eight_bit_header_name_tempfails_what_can_not_be_judged(start: Start, client: Client) -> None:
    server = start()
    mta = client(server)
    mta.connect()
    mta.helo()
    assert mta.message(((b"Subject", b" x"), (b"X-\xfc", b" y"))).kind == "tempfail"
    mta.quit()
    assert only(server, Abort) == [Abort()]
    assert "8-bit client or header name b'X-\\xfc'" in server.log


@pytest.mark.parametrize("steps", [ALL_STEPS, ALL_STEPS & ~HDR_LEADSPC], ids=["leading space", "without"])
def test_raw_headers_are_the_same_with_and_without_leading_space(start: Start, client: Client, steps: int) -> None:
    headers = (
        (b"Subject", b" caf\xe9 \xff"),
        (b"X-Empty", b" "),
        (b"X-Folded", b" a\n b\n\tc"),
        (b"X-Two", b"  two"),
        (b"X-" + b"n" * 200, b" x" * 1000),
    )
    server = start()
    mta = client(server, steps=steps)
    mta.connect()
    mta.helo()
    mta.message(headers)
    mta.quit()
    (event,) = only(server, EndOfMessage)
    assert isinstance(event, EndOfMessage)
    assert event.headers == headers


def test_a_header_of_100_kB_and_more(start: Start, client: Client) -> None:
    """libmilter by itself drops the connection for a packet of more than 65,535 bytes."""
    value = b" " + b"v" * 102400
    server = start()
    mta = client(server)
    mta.connect()
    mta.helo()
    assert mta.message(((b"Long", value), (b"Longer", value * 20))).kind == "continue"
    mta.quit()
    (event,) = only(server, EndOfMessage)
    assert isinstance(event, EndOfMessage)
    assert event.headers == ((b"Long", value), (b"Longer", value * 20))


def test_a_hundred_thousand_headers(start: Start, client: Client) -> None:
    headers = tuple((b"X-%d" % number, b" %d" % number) for number in range(100_000))
    server = start()
    mta = client(server)
    mta.connect()
    mta.helo()
    assert mta.message(headers).kind == "continue"
    mta.quit()
    (event,) = only(server, EndOfMessage)
    assert isinstance(event, EndOfMessage)
    assert event.headers == headers


@pytest.mark.parametrize(
    "body", [b"", b"bare\nlines\n", b"nul\0\0here\r\n", bytes(range(256)) * 1000, b"\r\n" * 100_000], ids=len
)
def test_bodies(start: Start, client: Client, body: bytes) -> None:
    server = start()
    mta = client(server)
    mta.connect()
    mta.helo()
    assert mta.message(body=body).kind == "continue"
    mta.quit()
    (event,) = only(server, EndOfMessage)
    assert isinstance(event, EndOfMessage)
    assert event.body == body


def test_messages_aborts_and_a_second_helo_on_one_connection(start: Start, client: Client) -> None:
    server = start()
    mta = client(server)
    mta.connect()
    mta.helo("one")
    mta.message(body=b"first\r\n")
    mta.mail("<aborted@client.test>")
    mta.rcpt()
    mta.data()
    mta.header("X-Left", " over")
    mta.body(b"left over")
    mta.abort()
    mta.abort()
    mta.helo("two")
    mta.message(body=b"second\r\n")
    mta.quit()
    kinds = [type(event).__name__ for event in (server.stop(), server.told())[1]]
    message = ["Mail", "Rcpt", "Data", "EndOfMessage"]
    assert kinds == ["Connect", "Helo", *message, "Mail", "Rcpt", "Data", "Abort", "Helo", *message, "Close"]
    last = only(server, EndOfMessage)[1]
    assert isinstance(last, EndOfMessage)
    assert (last.headers, last.body) == (((b"Subject", b" x"),), b"second\r\n")


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
def test_every_transaction_has_an_end_also_after_an_early_answer(start: Start, client: Client, stage: str) -> None:
    """After ACCEPT or REJECT libmilter itself tells of no abort."""
    for action in (Action.ACCEPT, Action.REJECT):
        server = start(Plan(answers={stage.capitalize(): Outcome(action)}))
        mta = client(server)
        mta.connect()
        mta.helo()
        for _ in range(2):
            steps = {"mail": mta.mail, "rcpt": mta.rcpt, "data": mta.data}
            for name, step in steps.items():
                answer = step()
                if name == stage:
                    break
            assert answer.kind == action.value
        mta.quit()
        assert server.stop() == 0
        kinds = [type(event).__name__ for event in server.told()]
        assert kinds.count("Mail") == kinds.count("Abort") == 2
        assert kinds[-2:] == ["Abort", "Close"]


@pytest.mark.parametrize("last", ["connect", "helo", "mail", "rcpt", "data", "header", "body"])
def test_a_client_that_vanishes(start: Start, client: Client, last: str) -> None:
    server = start()
    mta = client(server)
    steps: dict[str, Callable[[], object]] = {
        "connect": mta.connect,
        "helo": mta.helo,
        "mail": mta.mail,
        "rcpt": mta.rcpt,
        "data": mta.data,
        "header": lambda: mta.header("X", " y"),
        "body": lambda: mta.body(b"x" * 200_000),
    }
    for name, step in steps.items():
        step()
        if name == last:
            break
    mta.close()
    assert server.stop() == 0
    told = server.told()
    assert told[-1] == Close()
    assert told.count(Close()) == 1
    assert told.count(Abort()) == (last not in ("connect", "helo"))


@pytest.mark.parametrize(
    "junk",
    [b"\0", b"\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\5L", b"\0\0\0\2La", b"\0\0\0\1Z", b"GET / HTTP/1.1\r\n\r\n"],
)
def test_hostile_packets_end_one_connection_only(start: Start, client: Client, junk: bytes) -> None:
    server = start()
    good, bad = client(server), client(server)
    for mta in (good, bad):
        mta.connect()
        mta.helo()
        mta.mail()
        mta.rcpt()
        mta.data()
    bad.socket.sendall(junk)
    bad.close()
    good.header("X", " y")
    good.eoh()
    assert good.eom().kind == "continue"
    good.quit()
    assert server.stop() == 0
    assert server.told().count(Close()) == 2


def test_a_new_client_on_the_same_connection(start: Start, client: Client) -> None:
    """SMFIC_QUIT_NC: no second negotiation, so the terms of the first hold."""
    server = start(Plan(needs=Needs(frozenset({"rcpt", "message"}))))
    mta = client(server)
    for name in ("one", "two"):
        assert mta.connect(name).kind == "none"
        assert mta.helo(name).kind == "none"
        assert mta.mail().kind == "none"
        assert mta.rcpt().kind == "continue"
        assert mta.data().kind == "none"
        mta.header("X", f" {name}")
        mta.eoh()
        assert mta.eom().kind == "continue"
        mta.quit_nc()
    mta.close()
    assert server.stop() == 0
    for number, name in ((1, "one"), (2, "two")):
        told = server.told(number)
        assert isinstance(told[0], Connect)
        assert told[0].hostname == name
        assert isinstance(told[-2], EndOfMessage)
        assert told[-2].headers == ((b"X", b" " + name.encode()),)
        assert told[-1] == Close()
