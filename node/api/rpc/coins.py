"""JSON-RPC about the coin set as a whole: a scan of a snapshot, outside the lock, one at a time."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import groupby
from queue import Empty, SimpleQueue

from chain.coins import Coin
from chain.hashes import sha256, to_hex
from chain.tx import OutPoint, outpoint_index
from node.api.actions.core_errors import BAD_VALUE, MISC, RpcError
from node.api.context import Call
from node.api.encoding.json_codec import Coins, Shape
from node.api.rpc.args import flag, ignored, string
from node.api.rpc.method import topic
from node.api.rpc.muhash import MuHash, coin_element
from node.runtime.runtime import NotReady

HASH_TYPES = ("hash_serialized_3", "muhash", "none")
SCAN_WAIT_S = 60
"""Seconds that a scan waits for the one before it."""
LOOK_EVERY = 1_000
"""Transactions between two looks at whether the node stops."""
OUTPUT_OVERHEAD = 50
"""Bytes of a coin beside its script in Core's bogosize, which depends on no database."""


class ScanTurn:
    """Lets one scan run at a time."""

    def __init__(self) -> None:
        self._turn: SimpleQueue[None] = SimpleQueue()
        self._turn.put(None)

    def __enter__(self) -> None:
        try:
            self._turn.get(timeout=SCAN_WAIT_S)
        except Empty:
            raise RpcError(MISC, "Another scan is running: try again later") from None

    def __exit__(self, *_: object) -> None:
        self._turn.put(None)


class CoinSetHasher:
    """The coin set's hash as Core defines it; coins have to come in Core's order."""

    def __init__(self, hash_type: str) -> None:
        self._sha = hashlib.sha256() if hash_type == "hash_serialized_3" else None
        self._mu = MuHash() if hash_type == "muhash" else None

    def add(self, point: OutPoint, coin: Coin) -> None:
        if self._sha is not None:
            self._sha.update(coin_element(point, coin))
        elif self._mu is not None:
            self._mu.insert(coin_element(point, coin))

    def digest(self) -> bytes | None:
        if self._sha is not None:
            return sha256(self._sha.digest())
        return None if self._mu is None else self._mu.digest()


def gettxoutsetinfo(call: Call, hash_type: str, hash_or_height: object, use_index: bool) -> Shape:
    """Sums and hash of the coin set ("hash_serialized_3", "muhash" or "none"); walks all of it."""
    if hash_type not in HASH_TYPES:
        raise RpcError(BAD_VALUE, f"'{hash_type[:40]}' is not a valid hash_type")
    if hash_or_height is not None:
        raise RpcError(BAD_VALUE, "Querying specific block heights requires coinstatsindex")
    with call.scan_turn:
        return _scan(call, hash_type)


def _scan(call: Call, hash_type: str) -> Shape:
    hasher = CoinSetHasher(hash_type)
    coins = transactions = bogosize = amount = stored = 0
    for group in by_transaction(call.view.reader.coins()):
        if transactions % LOOK_EVERY == 0 and not call.runtime.ready:
            raise NotReady  # storage is about to be closed
        transactions += 1
        for point, coin in group:
            hasher.add(point, coin)
            coins += 1
            amount += coin.value
            bogosize += OUTPUT_OVERHEAD + len(coin.script)
            stored += len(point) + len(coin)
    shape: Shape = {
        "height": call.view.tip.height,
        "bestblock": to_hex(call.view.tip.hash),
        "txouts": coins,
        "bogosize": bogosize,
    }
    digest = hasher.digest()
    if digest is not None:
        shape[hash_type] = to_hex(digest)
    return {**shape, "total_amount": Coins(amount), "transactions": transactions, "disk_size": stored}


def by_transaction(coins: Iterable[tuple[OutPoint, Coin]]) -> Iterator[list[tuple[OutPoint, Coin]]]:
    """Coins in key order, transaction by transaction, each one's outputs by number as in Core.

    (The index in a key is little endian, so 256 comes before 1.)
    """
    for _, group in groupby(coins, key=lambda row: row[0][:32]):
        yield sorted(group, key=lambda row: outpoint_index(row[0]))


METHODS = topic(
    "Blockchain",
    (
        gettxoutsetinfo,
        string("hash_type", "hash_serialized_3"),
        ignored("hash_or_height"),
        flag("use_index", True),
    ),
)
"""About the coin set."""
