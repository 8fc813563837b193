"""JSON at the edge: what is refused, and that amounts come out exact."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.tx import MAX_MONEY
from node.api.encoding.json_codec import (
    DEPTH_MAX,
    DIGITS_MAX,
    ITEMS_MAX,
    STRINGS_MAX,
    BadJson,
    Coins,
    elements,
    emit,
    parse,
)

REFUSED = [
    b"",
    b"{",
    b"nul",
    b"NaN",
    b"[Infinity]",
    b"[-Infinity]",
    b'{"a":1,"a":2}',
    b'[{"b":{"a":1,"a":1}}]',
    b"[1e999]",
    b"[1e-999]",
    b"1" * (DIGITS_MAX + 1),
    b"0." + b"1" * DIGITS_MAX,
    b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1),
    b"[" * 100_000,
    b"[" * 100_000 + b"x" + b"]" * 100_000,
    b'{"a":' * 50_000,
    b'"\xff"',
    b"\xef\xbb\xbf1",
    "1".encode("utf-16"),
    b'"' + b"\x00" + b'"',
    b"[1,]",
    b"1 2",
    b"'a'",
    b'["a]',
    b"[" + b'"",' * (STRINGS_MAX + 1) + b"1]",
    b"[" + b"1," * (ITEMS_MAX + 1) + b"1]",
]


@pytest.mark.parametrize("body", REFUSED, ids=lambda body: repr(body[:24]))
def test_refused(body: bytes) -> None:
    with pytest.raises(BadJson):
        parse(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, None),
        (b'["' + b"[" * 1000 + b'"]', ["[" * 1000]),
        (rb'["\\\"[[[", "\\", {"a":"{\\"}]', ['\\"[[[', "\\", {"a": "{\\"}]),
        (
            b' {"a": [1, 2.50, -3e2, true, null, "\\u00e9\\ud800"]} ',
            {"a": [1, Decimal("2.50"), Decimal(-300), True, None, "é\ud800"]},
        ),
        ("é".join('""').encode(), "é"),
    ],
    ids=["deepest", "brackets in a string", "escapes", "all types", "utf-8"],
)
def test_accepted(body: bytes, expected: Any) -> None:
    parsed = parse(body)
    assert expected is None or parsed == expected


def test_amounts_are_exact() -> None:
    amounts = [0, 1, 10, 99_999_999, 100_000_000, 123_456_789, MAX_MONEY, -1]
    assert emit([Coins(amount) for amount in amounts]) == (
        "[0.00000000,0.00000001,0.00000010,0.99999999,1.00000000,1.23456789,21000000.00000000,-0.00000001]"
    )


def test_emitted_is_ascii() -> None:
    text = emit({"ä": ['\ud800\n"', 1.5e-10, Decimal("1E+2"), True, False, None, (), {}]})
    assert text == '{"\\u00e4":["\\ud800\\n\\"",1.5e-10,1E+2,true,false,null,[],{}]}'


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_what_is_emitted_parses_to_the_same(answer: Any) -> None:
    assert parse(emit(answer).encode()) == answer


@given(st.lists(JSON_VALUES, max_size=6))
def test_the_elements_of_an_array_are_the_texts_of_its_values(values: list[Any]) -> None:
    for text in (emit(values), f" \n[{' , '.join(map(emit, values))}\t] "):
        assert [parse(one) for one in elements(text.encode())] == values


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[", b"]", b"{}", b"1", b'"[]"', b"[1", b"1]", b"[1]]", b"[[1]", b"[1] 2]", b"[{]}", b"[1,]", b"[,]",
        b"[,1]", b"[1 2]", b'["a]', b"x[1]", b"[1]x", b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=lambda body: repr(body[:24]),
)  # fmt: skip
def test_what_is_no_array_has_no_elements(body: bytes) -> None:
    with pytest.raises(BadJson):
        [parse(one) for one in elements(body)]
