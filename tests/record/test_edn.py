"""EDN: two values that it holds equal are read as one, any other two as two, and what has no value is refused with its line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.edn import MOST_DIGITS, Unread, forms, value
from harness.record.fields import canonical
from harness.record.history import MOST_NESTED, MalformedHistory

# A value as a pair of its kind and what it holds, so that Python's equality is EDN's.

SCALARS = st.one_of(
    st.just(("nil", None)),
    st.booleans().map(lambda held: ("boolean", held)),
    st.integers(-(10**400), 10**400).map(lambda held: ("integer", held)),
    st.integers(-3, 3).map(lambda held: ("integer", held)),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda held: ("float", held)),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4).map(lambda held: ("string", held)),
    st.sampled_from([":a", ":b", "a", "1", "nil", '"']).map(lambda held: ("string", held)),
    st.sampled_from(["a", "b", "a/b", "nil", "x1", "é"]).map(lambda held: ("keyword", held)),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda held: ("sequence", tuple(held))),
        st.frozensets(inner, max_size=3).map(lambda held: ("set", held)),
        st.dictionaries(inner, inner, max_size=3).map(lambda held: ("map", frozenset(held.items()))),
        st.dictionaries(st.sampled_from([("keyword", "a"), ("keyword", "b")]), inner).map(lambda held: ("map", frozenset(held.items()))),
    ),
    max_leaves=6,
)
SPACES = st.sampled_from([" ", ", ", "\n", "\r\n", " ; a comment, with ] and } in it\n", " #_ 1 ", " #_{:a [1]} ", " #_ #_ x y ", "\t"])
BEFORE = st.sampled_from(["", "", "", "^:meta ", "^{:line 3} ", "#_nothing "])


@st.composite
def spelt(draw: st.DrawFn, what: tuple[str, Any]) -> str:
    """Print a value in one of its spellings."""
    kind, held = what
    return draw(BEFORE) + _spell(draw, kind, held)


def _spell(draw: st.DrawFn, kind: str, held: Any) -> str:
    if kind in ("sequence", "set", "map"):
        items = list(held) if kind == "sequence" else draw(st.permutations(sorted(held, key=repr)))
        flat = [each for item in items for each in item] if kind == "map" else items
        opening, closing = {"sequence": draw(st.sampled_from(["[]", "()"])), "set": ("#{", "}"), "map": "{}"}[kind]
        return opening + "".join(draw(SPACES) + draw(spelt(each)) for each in flat) + draw(SPACES) + closing
    if kind == "integer":
        sign = draw(st.sampled_from(["", "+"])) if held >= 0 else "-"
        return sign + str(abs(held)) + draw(st.sampled_from(["", "N"]))
    if kind == "float":
        return repr(held) if "inf" not in repr(held) else "0.0"
    if kind == "string":
        return '"' + "".join(draw(st.sampled_from(_characters(each))) for each in held) + '"'
    return {"nil": "nil", "boolean": str(held).lower(), "keyword": f":{held}"}[kind]


def _characters(each: str) -> list[str]:
    escaped = {"\n": ["\\n", "\n"], "\t": ["\\t", "\t"], '"': ['\\"'], "\\": ["\\\\"], "\r": ["\\r"]}.get(each, [each])
    units = each.encode("utf-16-be")
    return [*escaped, "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))]


@given(st.data(), VALUES)
@settings(max_examples=400, deadline=None)
def test_every_spelling_of_a_value_is_read_as_the_same(data: st.DataObject, drawn: tuple[str, Any]) -> None:
    first, second = (value(data.draw(spelt(drawn)), "x") for _ in range(2))
    assert canonical(first) == canonical(second)


@given(st.data(), VALUES, VALUES)
@settings(max_examples=400, deadline=None)
def test_two_values_are_read_as_two(data: st.DataObject, one: tuple[str, Any], other: tuple[str, Any]) -> None:
    read = [canonical(value(data.draw(spelt(each)), "x")) for each in (one, other)]
    assert (read[0] == read[1]) == (one == other)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("nil", None),
        ("-7", -7),
        ("7N", 7),
        ("-0", 0),
        ("1.0", 1.0),
        ("-0.0", 0.0),
        ("1e3", 1000.0),
        (":a/b", ":a/b"),
        ('"a"', "a"),
        ('":a"', {"#string": ":a"}),
        ("(1 [2])", [1, [2]]),
        ("{:a 1, :b {:c nil}}", {"a": 1, "b": {"c": None}}),
        ('{"a" 1}', {"#map": [["a", 1]]}),
        ("{2 :x, 1 :y}", {"#map": [[1, ":y"], [2, ":x"]]}),
        ("#{3 1 2}", {"#set": [1, 2, 3]}),
        ("[1 #_ 2 3 #_ #_ 4 5]", [1, 3]),
        ("{:a #_ 1 2 #_ :b}", {"a": 2}),
        ("^{:line 2} [1]", [1]),
        ('"\\u0041\\n"', "A\n"),
    ],
)
def test_a_value_of_edn_is_one_of_json(text: str, read: Any) -> None:
    assert canonical(value(text, "x")) == canonical(read)


@pytest.mark.parametrize("text", ["1" * 5000, "+" + "1" * 5000, "1" * 5000 + "N"])
def test_a_number_of_any_length_is_read_exactly(text: str) -> None:
    assert value(text, "x") == {"#integer": "1" * 5000}
    assert value("1" * MOST_DIGITS, "x") == int("1" * MOST_DIGITS)
    assert value("-" + "1" * 5000, "x") != value(text, "x") != value("1" * 4999 + "2", "x")


@pytest.mark.parametrize(
    "text",
    [
        "1/2",
        "1.5M",
        "1M",
        "##Inf",
        "##-Inf",
        "##NaN",
        "1e999",
        "\\a",
        "\\newline",
        "a-symbol",
        "007",
        "0x1F",
        "00.5",
        "::a",
        ":#a",
        ":",
        '#inst "2015-01-01"',
        "#uuid 1",
        "#:ns{:a 1}",
        "[1 [##NaN]]",
        "{:a \\a}",
        "#{sym}",
    ],
)
def test_what_cannot_be_compared_is_refused_where_it_is_used(text: str) -> None:
    with pytest.raises(MalformedHistory, match="cannot be compared"):
        value(text, "x")
    (form,) = forms(f"{{:a 1\n :b {text}\n :c 3}}", "x")
    assert (form.value["a"], form.value["c"]) == (1, 3)
    assert isinstance(form.value["b"], Unread)
    assert form.value["b"].line == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{:a 1\n :a 2}", "x:1: :a twice in one map or set"),
        ("[#{1\n 1}]\n", "x:1: 1 twice in one map or set"),
        ("{1 2 (3) 4 [3] 5}", r"x:1: \[3\] twice"),
        ("{:a 1 :b}\n\n1", "x:1: a map with a key and no value"),
        ("\n[1 2", "x:2: the end, expected a value"),
        ("\n\n{1 2]", r"x:3: \], expected a value"),
        ("[1 #_]", r"x:1: \], expected a value"),
        ("#_", "x:1: the end, expected a value"),
        ("^{:a 1}", "x:1: the end, expected a value"),
        ('\n"abc', "x:2: .* is no EDN"),
        ('"a\\qb"', "x:1: .*q in a string, expected one of"),
        ('"\\ud800"', "x:1: half a character in a string"),
        ("#", "x:1: # is no EDN"),
        ("1 2", "x:1: 2 after a value, expected the end"),
        ("[" * (MOST_NESTED + 2), f"x:1: nested deeper than {MOST_NESTED}"),
        ("#_ " * 100_000, f"x:1: nested deeper than {MOST_NESTED}"),
        ("^:a " * 3 + "]", r"x:1: \], expected a value"),
    ],
)
def test_text_that_is_no_edn_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(MalformedHistory, match=said):
        value(text, "x")


@given(st.text(max_size=30) | st.text('#_{}[]()"\\^:;, \n1a.', max_size=30))
@settings(max_examples=500, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        list(forms(text, "x"))
        value(text, "x")
    except MalformedHistory:
        pass
