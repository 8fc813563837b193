"""How a JSON-RPC method is declared: its parameters, their types, what goes wrong in Core's codes.

Calls are checked by tables made of these, and so are the help texts and the tests of bad input.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from chain.address import AddressError, decode_address
from chain.hashes import BlockHash, Txid
from chain.tx import COIN, MAX_MONEY

MISC = -1
TYPE = -3
NOT_FOUND = -5
BAD_VALUE = -8
NOT_CONNECTED = -9
UNDECODABLE = -22
ALREADY_ADDED = -23
NOT_ADDED = -24
NOT_IN_NODES = -29
VERIFY = -25
REJECTED = -26
WARMING_UP = -28
BAD_ADDRESS = -30
METHOD_NOT_FOUND = -32601
INVALID_REQUEST = -32600
PARSE = -32700

INT32_MAX: Final = 2**31 - 1
INT32_MIN: Final = -(2**31)
REQUIRED: Final = object()
"""In place of a default."""
SHOWN_MAX = 80
"""Characters of a bad value that are repeated in an error."""


class RpcError(Exception):
    """An error object: one of Core's codes and its words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


Read = Callable[[str, Any], Any]
"""(parameter's name, JSON value) -> what the method is given. Raises RpcError."""


@dataclass(frozen=True, slots=True)
class Arg:
    """One parameter."""

    name: str
    read: Read
    kind: str
    """Its type in help texts."""
    default: Any = REQUIRED
    aliases: tuple[str, ...] = ()
    """Older names."""

    @property
    def required(self) -> bool:
        """True if a call without it is refused."""
        return self.default is REQUIRED


@dataclass(frozen=True, slots=True)
class Method:
    """One method."""

    name: str
    answer: Callable[..., Any]
    """Called with a `Call` and the parameters in order; returns what `jsontext.emit` takes. Its
    docstring is the method's summary."""
    args: tuple[Arg, ...]
    category: str

    @property
    def summary(self) -> str:
        """What it does."""
        return inspect.cleandoc(self.answer.__doc__ or "")

    @property
    def usage(self) -> str:
        """Name and parameters in a line, optional ones in brackets."""
        words = [arg.name if arg.required else f"( {arg.name} )" for arg in self.args]
        return " ".join((self.name, *words))

    @property
    def help(self) -> str:
        """What `help` prints, and what a wrong number of parameters is answered with."""
        lines = [self.usage, "", self.summary]
        if self.args:
            lines += ["", "Arguments:"]
        for number, arg in enumerate(self.args, 1):
            need = "required" if arg.required else "optional"
            lines.append(f"{number}. {arg.name} ({arg.kind}, {need})")
        return "\n".join(lines)

    def bind(self, params: Any) -> list[Any]:
        """The parameters of a call in order, checked. Raises RpcError."""
        if params is None:
            given: Sequence[Any] = ()
        elif isinstance(params, Mapping):
            given = self._in_order(params)
        elif isinstance(params, list):
            given = params
        else:
            raise RpcError(INVALID_REQUEST, "Params must be an array or object")
        if len(given) > len(self.args):
            raise RpcError(MISC, self.help)
        bound = []
        for position, arg in enumerate(self.args):
            content = given[position] if position < len(given) else None
            if content is not None:
                bound.append(arg.read(arg.name, content))
            elif arg.required:
                raise RpcError(MISC, self.help)
            else:
                bound.append(arg.default)
        return bound

    def _in_order(self, named: Mapping[str, Any]) -> list[Any]:
        """Named parameters, and leading ones under `args`, as a list."""
        leading = named.get("args", [])
        if not isinstance(leading, list):
            raise RpcError(BAD_VALUE, "Parameter args must be an array")
        positions = {name: i for i, arg in enumerate(self.args) for name in (arg.name, *arg.aliases)}
        given: list[Any] = [*leading, *[None] * (len(self.args) - len(leading))]
        taken = set(range(len(leading)))
        for name, content in named.items():
            if name == "args":
                continue
            position = positions.get(name)
            if position is None:
                raise RpcError(BAD_VALUE, f"Unknown named parameter {shown(name)}")
            if position in taken:
                raise RpcError(BAD_VALUE, f"Parameter {name} specified twice both as positional and named argument")
            taken.add(position)
            given[position] = content
        return given


def topic(category: str, *rows: tuple[Any, ...]) -> tuple[Method, ...]:
    """Methods of one topic, each a row of its function, whose name it has, and its parameters."""
    return tuple(Method(answer.__name__, answer, tuple(args), category) for answer, *args in rows)


# --- parameters ----------------------------------------------------------------------------


def block_hash(name: str, default: Any = REQUIRED) -> Arg:
    """A block's hash in display order."""
    return Arg(name, lambda name, content: BlockHash(_hash(name, content)), "string", default)


def txid(name: str) -> Arg:
    """A transaction's id in display order."""
    return Arg(name, lambda name, content: Txid(_hash(name, content)), "string")


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
    return Arg(name, lambda name, content: _integer(content, least, most), "numeric", default, aliases)


def flag(name: str, default: Any = REQUIRED) -> Arg:
    """True or false."""
    return Arg(name, _flag, "boolean", default)


def verbosity(name: str, default: int, aliases: tuple[str, ...] = ()) -> Arg:
    """How much to tell; true and false stand for 1 and 0."""
    return Arg(name, _verbosity, "numeric or boolean", default, aliases)


def amount(name: str, default: Any = REQUIRED) -> Arg:
    """Coins, as a number or a string with at most 8 decimals; given as satoshis."""
    return Arg(name, _amount, "numeric or string", default)


def strings(name: str, default: Any = REQUIRED) -> Arg:
    """An array of texts."""
    return Arg(name, _strings, "array", default)


def ignored(name: str) -> Arg:
    """Anything; it makes no difference."""
    return Arg(name, lambda _, content: content, "any", None)


def shown(given: str) -> str:
    """A bad value, cut to what an error may repeat."""
    return given if len(given) <= SHOWN_MAX else given[:SHOWN_MAX] + "..."


_KINDS = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", Decimal: "number"}


def wrong_type(content: Any, expected: str) -> RpcError:
    """The error for a value of another JSON type."""
    return RpcError(TYPE, f"JSON value of type {_KINDS.get(type(content), 'null')} is not of expected type {expected}")


def _string(_: str, content: Any) -> str:
    if not isinstance(content, str):
        raise wrong_type(content, "string")
    return content


def _hash(name: str, content: Any) -> bytes:
    given = _string(name, content)
    if len(given) != 64:
        raise RpcError(BAD_VALUE, f"{name} must be of length 64 (not {len(given)}, for '{shown(given)}')")
    if not all(c in "0123456789abcdefABCDEF" for c in given):
        raise RpcError(BAD_VALUE, f"{name} must be hexadecimal string (not '{given}')")
    return bytes.fromhex(given)[::-1]


def _address(name: str, content: Any) -> bytes:
    try:
        return decode_address(_string(name, content))
    except AddressError:
        raise RpcError(NOT_FOUND, "Error: Invalid address") from None


def _integer(content: Any, least: int, most: int) -> int:
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
    return int(content) if isinstance(content, bool) else _integer(content, INT32_MIN, INT32_MAX)


def _amount(_: str, content: Any) -> int:
    if isinstance(content, bool) or not isinstance(content, int | Decimal | str):
        raise wrong_type(content, "number")
    if isinstance(content, str):
        if not content.isascii() or len(content) > 20 or not content.replace(".", "", 1).isdigit():
            raise RpcError(TYPE, "Invalid amount")
        content = Decimal(content)
    satoshis = content * COIN
    if satoshis != int(satoshis):
        raise RpcError(TYPE, "Invalid amount")
    if not 0 <= satoshis <= MAX_MONEY:
        raise RpcError(TYPE, "Amount out of range")
    return int(satoshis)


def _strings(name: str, content: Any) -> list[str]:
    if not isinstance(content, list):
        raise wrong_type(content, "array")
    return [_string(name, one) for one in content]
