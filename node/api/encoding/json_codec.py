"""JSON at the edge: strict in, exact out.

Python's own module takes NaN, keeps the last of duplicate keys, turns 1e999 into infinity and
recurses as deep as a stranger likes; and it has no way to print an amount exactly.
"""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring_ascii
from typing import Any

from chain.tx import COIN

DEPTH_MAX = 32
"""Brackets inside brackets; a text is refused beyond."""
STRINGS_MAX = 100_000
"""Strings in a text, so that parsing never makes a crowd of objects; refused beyond."""
ITEMS_MAX = 200_000
"""Commas in a text, for the same reason."""
DIGITS_MAX = 40
"""Characters of a number; longer ones are refused."""
EXPONENT_MAX = 400
"""A number's power of ten; larger ones are refused."""

_OPENING, _CLOSING, _BLANKS = (b"[", b"{"), (b"]", b"}"), b" \t\r\n"
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)
"""A string, a bracket or a comma; a quote by itself where a string does not end."""


class Coins(int):
    """Satoshis that are printed as coins with 8 decimals, as Bitcoin Core prints amounts."""

    __slots__ = ()


class Rendered(str):
    """JSON already, printed as it is: for what is said many times."""

    __slots__ = ()


class BadJson(ValueError):
    """Raised for bytes that are not JSON."""


class TooMuchJson(BadJson):
    """More than is read; says which limit."""


def parse(body: bytes) -> Any:
    """The value that `body` is: whole numbers as int, others as Decimal. Raises BadJson."""
    if body.count(b'"') > 2 * STRINGS_MAX:
        raise TooMuchJson(f"more than {STRINGS_MAX} strings")
    if body.count(b",") > ITEMS_MAX:
        raise TooMuchJson(f"more than {ITEMS_MAX} commas")
    _check_depth(body)
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_int=_whole,
            parse_float=_decimal,
            parse_constant=_constant,
            object_pairs_hook=_mapping,
        )
    except TooMuchJson:
        raise
    except ValueError as error:
        raise BadJson("not JSON") from error


def elements(body: bytes) -> Iterator[bytes]:
    """The texts of an array's elements one after the other, for `parse`: so that of a long one there are never
    more values than one element's. Raises BadJson where `body` is no array."""
    inner = body.strip(_BLANKS)
    if len(inner) < 2 or inner[:1] != b"[" or inner[-1:] != b"]":
        raise BadJson("no array")
    inner = inner[1:-1]
    if not inner.strip(_BLANKS):
        return
    depth = start = 0
    for token in _TOKEN.finditer(inner):
        mark = token[0]
        if mark == b",":
            if depth == 0:
                yield inner[start : token.start()]
                start = token.end()
        elif mark in _OPENING:
            depth += 1
            if depth > DEPTH_MAX:
                raise _too_deep()
        elif mark in _CLOSING:
            depth -= 1
            if depth < 0:
                raise BadJson("more behind it")
        elif mark == b'"':
            raise BadJson("a string without an end")
    if depth:
        raise BadJson("brackets not closed")
    yield inner[start:]


def emit(answer: Any) -> str:
    """`answer` as compact ASCII JSON: `Coins` with 8 decimals, floats in their shortest form."""
    parts: list[str] = []
    _emit(answer, parts)
    return "".join(parts)


def coins_text(satoshis: int) -> str:
    """An amount in coins with exactly 8 decimals."""
    whole, rest = divmod(abs(satoshis), COIN)
    return f"{'-' if satoshis < 0 else ''}{whole}.{rest:08d}"


def _emit(answer: Any, parts: list[str]) -> None:
    kind = type(answer)
    if kind is str:
        parts.append(encode_basestring_ascii(answer))
    elif kind is int:
        parts.append(str(answer))
    elif kind is Coins:
        parts.append(coins_text(answer))
    elif kind is Rendered:
        parts.append(answer)
    elif answer is None or kind is bool:
        parts.append({None: "null", True: "true", False: "false"}[answer])
    elif kind is dict:
        comma = "{"
        for key, content in answer.items():
            parts += (comma, encode_basestring_ascii(key), ":")
            _emit(content, parts)
            comma = ","
        parts.append("}" if answer else "{}")
    elif kind is list or kind is tuple:
        comma = "["
        for content in answer:
            parts.append(comma)
            _emit(content, parts)
            comma = ","
        parts.append("]" if answer else "[]")
    elif kind is float or kind is Decimal:
        parts.append(str(answer))
    else:
        raise TypeError(f"no JSON for {kind.__name__}")


def _check_depth(body: bytes) -> None:
    """Raise BadJson where brackets stand deeper than DEPTH_MAX, or are never closed. Strings do not count."""
    outside = b"".join(body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    brackets = outside.translate(None, _NOT_BRACKETS)
    for _ in range(DEPTH_MAX):  # each round takes the innermost pairs off
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets.count(b"[") + brackets.count(b"{") != brackets.count(b"]") + brackets.count(b"}"):
        raise BadJson("brackets not closed")
    if brackets:
        raise _too_deep()


def _too_deep() -> TooMuchJson:
    return TooMuchJson(f"brackets more than {DEPTH_MAX} deep")


def _whole(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise TooMuchJson(f"a number of more than {DIGITS_MAX} characters")
    return int(text)


def _decimal(text: str) -> Decimal:
    if len(text) > DIGITS_MAX:
        raise TooMuchJson(f"a number of more than {DIGITS_MAX} characters")
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise BadJson("number out of range") from error
    if abs(number.adjusted()) > EXPONENT_MAX:
        raise TooMuchJson(f"a number's power of ten above {EXPONENT_MAX}")
    return number


def _constant(name: str) -> Any:
    raise BadJson(f"{name} is no JSON")


def _mapping(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise BadJson("a key twice")
    return mapping


Shape = dict[str, Any]
