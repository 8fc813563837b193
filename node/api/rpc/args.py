"""The kinds of parameters that JSON-RPC methods take: JSON values read into what a method works with.

Each constructor declares one parameter; without a default it is required.
"""

import re
from decimal import Decimal
from typing import Any, Final

from chain.address import AddressError, decode_address
from chain.hashes import BlockHash, Txid
from chain.tx import COIN, MAX_MONEY
from node.api.actions.core_errors import BAD_VALUE, MISC, NOT_FOUND, TYPE, RpcError, shown
from node.api.rpc.method import REQUIRED, Arg

HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")
_AMOUNT: Final = re.compile(r"-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?")
"""A number as JSON spells it, no longer than any amount."""
INT32_MAX: Final = 2**31 - 1
INT32_MIN: Final = -(2**31)


def block_hash(name: str, default: Any = REQUIRED) -> Arg:
    """A block's hash in display order."""
    return Arg(name, lambda name, content: BlockHash(hash_in(name, content)), "string", default)


def txid(name: str) -> Arg:
    """A transaction's id in display order."""
    return Arg(name, lambda name, content: Txid(hash_in(name, content)), "string")


def string(name: str, default: Any = REQUIRED) -> Arg:
    """Any text."""
    return Arg(name, _string, "string", default)


def address(name: str) -> Arg:
    """An address of the network, given as its scriptPubKey."""
    return Arg(name, _address, "string")


def integer(
    name: str, default: Any = REQUIRED, least: int = INT32_MIN, most: int = INT32_MAX, aliases: tuple[str, ...] = ()
) -> Arg:
    """A whole number."""
    return Arg(name, lambda name, content: integer_in(content, least, most), "numeric", default, aliases)


def flag(name: str, default: Any = REQUIRED) -> Arg:
    """True or false."""
    return Arg(name, _flag, "boolean", default)


def verbosity(name: str, default: int, aliases: tuple[str, ...] = ()) -> Arg:
    """The verbosity; true and false stand for 1 and 0."""
    return Arg(name, _verbosity, "numeric or boolean", default, aliases)


def amount(name: str, default: Any = REQUIRED) -> Arg:
    """Coins, as a number or a string with at most 8 decimals; given as satoshis."""
    return Arg(name, lambda _, content: amount_in(content), "numeric or string", default)


def strings(name: str, default: Any = REQUIRED) -> Arg:
    """An array of texts."""
    return Arg(name, _strings, "array", default)


def array(name: str, default: Any = REQUIRED) -> Arg:
    """An array of anything."""
    return Arg(name, _array, "array", default)


def hex_bytes(name: str, called: str = "") -> Arg:
    """Bytes in hex, perhaps none; errors name the parameter, or what it is called instead."""
    return Arg(name, lambda name, content: hex_in(called or name, content), "string")


def mapping(name: str, default: Any = REQUIRED) -> Arg:
    """An object; what is in it the method looks at itself."""
    return Arg(name, _mapping, "object", default)


def ignored(name: str) -> Arg:
    """Anything; it makes no difference."""
    return Arg(name, lambda _, content: content, "any", None)


_KINDS = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", Decimal: "number"}


def wrong_type(content: Any, expected: str, field: str = "") -> RpcError:
    """The error for a value, or a field of an object, of another JSON type."""
    of_field = f" for field {field}" if field else ""
    kind = _KINDS.get(type(content), "null")
    return RpcError(TYPE, f"JSON value of type {kind}{of_field} is not of expected type {expected}")


def _string(_: str, content: Any) -> str:
    if not isinstance(content, str):
        raise wrong_type(content, "string")
    return content


def hash_in(name: str, content: Any) -> bytes:
    """A hash in display order, given in wire order. Raises RpcError."""
    given = _string(name, content)
    if len(given) != 64:
        raise RpcError(BAD_VALUE, f"{name} must be of length 64 (not {len(given)}, for '{shown(given)}')")
    if not all(c in HEX_DIGITS for c in given):
        raise RpcError(BAD_VALUE, f"{name} must be hexadecimal string (not '{given}')")
    return bytes.fromhex(given)[::-1]


def _address(name: str, content: Any) -> bytes:
    try:
        return decode_address(_string(name, content))
    except AddressError:
        raise RpcError(NOT_FOUND, "Error: Invalid address") from None


def integer_in(content: Any, least: int, most: int) -> int:
    """A JSON value that is a whole number within these. Raises RpcError."""
    if isinstance(content, Decimal):
        raise RpcError(MISC, "JSON value is not an integer as expected")
    if not isinstance(content, int) or isinstance(content, bool):
        raise wrong_type(content, "number")
    if not least <= content <= most:
        raise RpcError(MISC, "JSON integer out of range")
    return content


def _flag(_: str, content: Any) -> bool:
    if not isinstance(content, bool):
        raise wrong_type(content, "bool")
    return content


def _verbosity(_: str, content: Any) -> int:
    return int(content) if isinstance(content, bool) else integer_in(content, INT32_MIN, INT32_MAX)


def amount_in(content: Any) -> int:
    """A JSON value that is an amount in coins, as satoshis. Raises RpcError."""
    if isinstance(content, bool) or not isinstance(content, int | Decimal | str):
        raise RpcError(TYPE, "Amount is not a number or string")
    if isinstance(content, str):
        if not _AMOUNT.fullmatch(content):
            raise RpcError(TYPE, "Invalid amount")
        content = Decimal(content)
    satoshis = content * COIN
    if satoshis != int(satoshis):
        raise RpcError(TYPE, "Invalid amount")
    if not 0 <= satoshis <= MAX_MONEY:
        raise RpcError(TYPE, "Amount out of range")
    return int(satoshis)


def _mapping(_: str, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise wrong_type(content, "object")
    return content


def _array(_: str, content: Any) -> list[Any]:
    if not isinstance(content, list):
        raise wrong_type(content, "array")
    return content


def hex_in(name: str, content: Any, *, empty: bool = True) -> bytes:
    """A JSON value that is bytes in hex; none only where that is allowed. Raises RpcError."""
    given = _string(name, content)
    if len(given) % 2 or not (given or empty) or not all(c in HEX_DIGITS for c in given):
        raise RpcError(BAD_VALUE, f"{name} must be hexadecimal string (not '{shown(given)}')")
    return bytes.fromhex(given)


def _strings(name: str, content: Any) -> list[str]:
    return [_string(name, one) for one in _array(name, content)]
