"""Routes: the declaration of a path, of its handler, and of its errors.

Requests are routed and checked by tables made of these; the tests of bad input, and any
description of the API, are made from the same tables.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from chain.address import AddressError, decode_address
from chain.hashes import BlockHash, Txid, from_hex, sha256
from chain.tx import COIN, MAX_MONEY
from node.api.http.message import Problem, Response
from node.interface.events import TOPICS

NO_BODY_MAX = 1024
"""Bytes of body that a route without one overlooks; more is 413."""
NUMBER_MAX = 2**63 - 1
"""Largest number in a path; more is invalid."""
INDEX_MAX = 2**32 - 1
"""Largest output index."""
_AMOUNT = re.compile(r"[0-9]{1,8}(\.[0-9]{1,8})?")
PREFIXES = ("", "/api")
"""Every Esplora route is reachable under each of these."""


class ParamType(StrEnum):
    """The kind of a piece of a path or query. Those called `lenient` take anything."""

    BLOCK_HASH = "block hash"
    TXID = "txid"
    NUMBER = "number"
    """A height or a position."""
    INDEX = "output index"
    ADDRESS = "address"
    SCRIPT_HASH = "script hash"
    LENIENT_NUMBER = "lenient number"
    """A number; None for any other text."""
    LENIENT_TXID = "lenient txid"
    """A `LastSeen`, of None unless it is a txid."""
    COINS = "amount in coins"
    """Given as satoshis."""
    TX_HEX = "transaction in hex"
    """Passed on as it is; the handler decodes."""
    TOPICS = "topics"
    """Kinds of events, with commas between them."""


LENIENT = frozenset({ParamType.LENIENT_NUMBER, ParamType.LENIENT_TXID, ParamType.TX_HEX})
BAD_VALUE = MappingProxyType(
    {
        ParamType.BLOCK_HASH: "Invalid hex string",
        ParamType.TXID: "Invalid hex string",
        ParamType.NUMBER: "Invalid number",
        ParamType.INDEX: "Invalid number",
        ParamType.ADDRESS: "Invalid Bitcoin address",
        ParamType.SCRIPT_HASH: "Invalid scripthash",
        ParamType.COINS: "Invalid amount",
        ParamType.TOPICS: f"Unknown topic; there are {', '.join(TOPICS)}",
    }
)
"""The line that a malformed value gets, with status 400."""
OTHER_NETWORK = "Address on invalid network"


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path, and what belongs to them."""

    method: str
    path: str
    """Pieces that start with a colon are parameters: `/block/:hash/txid/:index`."""
    answer: Callable[..., Response]
    """Called with a `Call`, then the path's parameters and the query's by name. Its docstring is
    the route's summary."""
    content: str
    """Content type of the 200."""
    schema: str = ""
    """Schema of a JSON 200: its name in schemas.py."""
    params: Mapping[str, ParamType] = field(default_factory=dict)
    query: Mapping[str, ParamType] = field(default_factory=dict)
    """Optional parameters behind the question mark; None where absent."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Optional request headers that it heeds: a number each, and what it says."""
    body_max: int = NO_BODY_MAX
    """Bytes; a larger body gets 413 before it is read."""
    takes: str = ""
    """The schema of what its body is, in schemas.py; empty if it takes none."""
    errors: tuple[tuple[int, str], ...] = ()
    """Status and line of each answer beside 200 and the malformed parameters' 400."""
    needs_index: bool = False
    """True if the whole route is refused under --no-index."""
    writes: bool = False
    """True if it changes something: refused to pages of other origins."""
    quick: bool = False
    """True if it answers from memory, at once and shortly: then no thread is woken for it. Only of paths
    without parameters."""

    @property
    def summary(self) -> str:
        """Summary, in a line."""
        return (self.answer.__doc__ or "").partition("\n")[0]

    @property
    def has_optional_end(self) -> bool:
        """True if the path's last piece may be empty: it takes anything, and that says nothing (electrs)."""
        return self.params.get(self.path.rpartition("/:")[2]) in LENIENT


@dataclass(frozen=True, slots=True)
class ScriptName:
    """A script as a path named it."""

    given: str
    """The address or script hash as it came."""
    script_hash: bytes
    """SHA-256 of the scriptPubKey, 32 bytes."""


@dataclass(frozen=True, slots=True)
class LastSeen:
    """The end of the page before, as whoever pages through a history named it."""

    txid: Txid | None
    """None: what was given is no txid; the first page is meant."""


def parse(kind: ParamType, given: str) -> Any:
    """The value that `given` stands for. Raises Problem(400)."""
    return _PARSERS[kind](given)


def _hash(kind: ParamType) -> Callable[[str], Any]:
    make = Txid if kind is ParamType.TXID else BlockHash

    def parse_hash(given: str) -> Any:
        try:
            return make(from_hex(given))
        except ValueError:
            raise Problem(400, BAD_VALUE[kind]) from None

    return parse_hash


def whole_number(given: str, most: int = NUMBER_MAX) -> int | None:
    """The number that plain digits spell, or None."""
    # isdigit alone takes digits of any script.
    if not given.isascii() or not given.isdigit() or len(given) > 20:
        return None
    number = int(given)
    return number if number <= most else None


def _number(most: int) -> Callable[[str], int]:
    def parse_number(given: str) -> int:
        number = whole_number(given, most)
        if number is None:
            raise Problem(400, BAD_VALUE[ParamType.NUMBER])
        return number

    return parse_number


def _address(given: str) -> ScriptName:
    try:
        return ScriptName(given, sha256(decode_address(given)))
    except AddressError as error:
        raise Problem(400, OTHER_NETWORK if error.other_network else BAD_VALUE[ParamType.ADDRESS]) from None


def _script_hash(given: str) -> ScriptName:
    try:
        return ScriptName(given, from_hex(given)[::-1])  # not reversed in paths
    except ValueError:
        raise Problem(400, BAD_VALUE[ParamType.SCRIPT_HASH]) from None


def _coins(given: str) -> int:
    satoshis = Decimal(given) * COIN if _AMOUNT.fullmatch(given) else Decimal(-1)
    if satoshis != int(satoshis) or not 0 <= satoshis <= MAX_MONEY:
        raise Problem(400, BAD_VALUE[ParamType.COINS])
    return int(satoshis)


def _last_seen(given: str) -> LastSeen:
    try:
        return LastSeen(Txid(from_hex(given)))
    except ValueError:
        return LastSeen(None)


def _topics(given: str) -> frozenset[str]:
    topics = frozenset(given.split(","))
    if not topics <= frozenset(TOPICS):
        raise Problem(400, BAD_VALUE[ParamType.TOPICS])
    return topics


_PARSERS: Mapping[ParamType, Callable[[str], Any]] = MappingProxyType(
    {
        ParamType.BLOCK_HASH: _hash(ParamType.BLOCK_HASH),
        ParamType.TXID: _hash(ParamType.TXID),
        ParamType.NUMBER: _number(NUMBER_MAX),
        ParamType.INDEX: _number(INDEX_MAX),
        ParamType.ADDRESS: _address,
        ParamType.SCRIPT_HASH: _script_hash,
        ParamType.LENIENT_NUMBER: whole_number,
        ParamType.LENIENT_TXID: _last_seen,
        ParamType.COINS: _coins,
        ParamType.TX_HEX: str,
        ParamType.TOPICS: _topics,
    }
)
