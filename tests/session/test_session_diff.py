"""The diff is exact on every MTA's way of counting, and no longer than it has to be."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.session.apply import apply
from lumilter.session.diff import content_edits
from lumilter.session.events import AddHeader, ChangeHeader, InsertHeader, ReplaceBody
from lumilter.session.headers import Header, HeaderList
from lumilter.session.message import Message

NAMES = ("A", "B", "C")


def received(*names: str) -> HeaderList:
    return HeaderList(Header(name.encode(), b" %d" % at) for at, name in enumerate(names))


def message(headers: HeaderList, body: bytes = b"body\r\n") -> Message:
    return Message(headers.copy(), body, "a@example.com", "b@example.com")


def fields(headers: HeaderList) -> list[tuple[bytes, bytes]]:
    return [(field.name, field.value) for field in headers]


operation = st.tuples(
    st.sampled_from(("append", "prepend", "replace", "delete", "shuffle", "in place", "middle")),
    st.sampled_from(NAMES),
    st.lists(st.text("xyz", min_size=1, max_size=2), min_size=1, max_size=2),
    st.integers(0, 9),
)


def perform(headers: HeaderList, kind: str, name: str, values: list[str], where: int) -> HeaderList:
    if kind in ("append", "prepend", "replace"):
        getattr(headers, kind)(name, values)
    elif kind == "delete":
        headers.delete(name)
    else:
        items = list(headers)
        at = where % (len(items) + 1)
        if kind == "shuffle":
            items = items[at:] + items[:at]
        elif kind == "in place" and at < len(items):
            items[at] = Header(items[at].name, values[0].encode())
        elif kind == "middle":
            items.insert(at, Header(name.encode(), values[0].encode()))
        headers = HeaderList(items)
    return headers


@settings(max_examples=400)
@given(st.lists(st.sampled_from(NAMES), max_size=8), st.lists(operation, max_size=5), st.booleans())
def test_applying_the_diff_gives_the_edited_message(names: list[str], operations: list, renumber: bool) -> None:
    original = received(*names)
    edited = message(original)
    for each in operations:
        edited.headers = perform(edited.headers, *each)
    edits = content_edits(original, edited.body, edited)
    headers, _, _, _, _ = apply(fields(original), b"", "", [], edits, renumber)
    assert headers == fields(edited.headers)


def test_untouched_is_nothing() -> None:
    original = received("A", "B")
    assert content_edits(original, b"x", message(original, b"x")) == []


def test_prepending_keeps_the_order_with_inserts_at_the_top() -> None:
    original = received("A")
    edited = message(original)
    edited.headers.prepend("X", ["1", "2"])
    edits = content_edits(original, edited.body, edited)
    assert edits == [InsertHeader(0, b"X", b" 2"), InsertHeader(0, b"X", b" 1")]


def test_replacing_the_last_header_is_one_change() -> None:
    original = received("A", "B")
    edited = message(original)
    edited.headers.replace("B", ["new"])
    assert content_edits(original, edited.body, edited) == [ChangeHeader(1, b"B", b" new")]


def test_replacing_elsewhere_moves_it_to_the_end() -> None:
    original = received("A", "B")
    edited = message(original)
    edited.headers.replace("A", ["new"])
    assert content_edits(original, edited.body, edited) == [ChangeHeader(1, b"A", b""), AddHeader(b"A", b" new")]


def test_deletions_go_from_the_last_to_the_first() -> None:
    original = received("A", "A", "B", "A")
    edited = message(original)
    edited.headers.delete("A")
    assert [edit.nth for edit in content_edits(original, edited.body, edited)] == [3, 2, 1]


def test_a_field_set_to_what_it_was_is_no_edit() -> None:
    original = received("A", "B")
    edited = message(original)
    edited.headers.replace("B", ["1"])
    assert content_edits(original, edited.body, edited) == []


def test_other_capitals_are_no_change_in_place() -> None:
    original = received("A", "B")
    edited = message(original)
    edited.headers.replace("b", ["new"])
    assert content_edits(original, edited.body, edited) == [ChangeHeader(1, b"B", b""), AddHeader(b"b", b" new")]


def test_an_empty_value_is_not_a_deletion() -> None:
    original = received("A")
    edited = message(HeaderList([Header(b"A", b"")]))
    assert content_edits(original, edited.body, edited) == [ChangeHeader(1, b"A", b""), AddHeader(b"A", b"")]


def test_many_fields() -> None:
    original = received(*["A", "B"] * 20_000)
    edited = message(original)
    edited.headers.replace("A", ["new"] * 1000)
    edited.headers.prepend("C", ["new"] * 1000)
    assert len(content_edits(original, edited.body, edited)) == 20_000 + 2000


def test_body() -> None:
    original = received("A")
    edited = message(original, b"new\r\n")
    assert content_edits(original, b"old\r\n", edited) == [ReplaceBody(b"new\r\n")]
