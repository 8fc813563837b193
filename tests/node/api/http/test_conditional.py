"""Answers that caches keep."""

import pytest

from node.api.http.conditional import immutable
from node.api.http.message import Problem, Request, octets

BODY = bytes(range(100))
TAG = '"abc"'


def asked(method: str = "GET", **headers: str) -> Request:
    return Request(method, "/", "/", "", headers, "", bytes)


def test_whole() -> None:
    answer = immutable(asked(), octets(BODY), "abc")
    assert (answer.status, answer.body) == (200, BODY)
    assert answer.headers == (
        ("ETag", TAG),
        ("Cache-Control", "public, immutable, max-age=31536000"),
        ("Accept-Ranges", "bytes"),
    )


@pytest.mark.parametrize("known", [TAG, f"W/{TAG}", f'"x", {TAG}', "*", f'"x" ,W/{TAG}'])
def test_what_is_known_is_not_sent(known: str) -> None:
    answer = immutable(asked(IF_NONE_MATCH=known, RANGE="bytes=0-1"), octets(BODY), "abc")
    assert (answer.status, answer.body, answer.content_type) == (304, b"", None)
    assert ("ETag", TAG) in answer.headers


@pytest.mark.parametrize("known", ["", "abc", '"abcd"', 'W/"x"', '"ab*c"'])
def test_what_is_not_known_is_sent(known: str) -> None:
    assert immutable(asked(IF_NONE_MATCH=known), octets(BODY), "abc").body == BODY


@pytest.mark.parametrize(
    ("span", "first", "end"),
    [
        ("0-9", 0, 10),
        ("0-0", 0, 1),
        ("99-99", 99, 100),
        ("90-", 90, 100),
        ("0-", 0, 100),
        ("5-1000", 5, 100),
        ("-10", 90, 100),
        ("-1000", 0, 100),
    ],
)
def test_a_range(span: str, first: int, end: int) -> None:
    answer = immutable(asked(RANGE=f"bytes={span}"), octets(BODY), "abc")
    assert (answer.status, answer.body) == (206, BODY[first:end])
    assert answer.headers[-1] == ("Content-Range", f"bytes {first}-{end - 1}/100")


@pytest.mark.parametrize("span", ["100-", "100-200", "999999-", "-0"])
def test_a_range_outside(span: str) -> None:
    with pytest.raises(Problem) as caught:
        immutable(asked(RANGE=f"bytes={span}"), octets(BODY), "abc")
    assert caught.value.status == 416
    assert list(caught.value.headers) == [("Content-Range", "bytes */100")]


@pytest.mark.parametrize(
    "given", ["bytes=", "bytes=-", "bytes=x", "bytes=5-1", "bytes=0-1,5-6", "pages=1-2", "bytes=+1-2", "bytes= 0-1",
              "bytes=0-1 ", "bytes=" + "9" * 5000 + "-", "bytes=\u0661-2"]
)  # fmt: skip
def test_what_is_no_single_range_gets_everything(given: str) -> None:
    assert immutable(asked(RANGE=given), octets(BODY), "abc").status == 200


def test_conditions_on_a_range() -> None:
    assert immutable(asked(RANGE="bytes=0-1", IF_RANGE=TAG), octets(BODY), "abc").status == 206
    assert immutable(asked(RANGE="bytes=0-1", IF_RANGE='"old"'), octets(BODY), "abc").status == 200
    assert immutable(asked("HEAD", RANGE="bytes=0-1"), octets(BODY), "abc").status == 200
