"""Coins, and how they change: the one big idea.

Connecting a block is applying its `CoinsDelta`; disconnecting is applying the inverse; a
reorganisation of any depth is one composed delta, so one atomic write.
"""

from collections.abc import Callable, Iterable

from chain.frozen import value
from chain.scripttype import OP_RETURN
from chain.tx import OutPoint, Tx, TxOut

MAX_SCRIPT_SIZE = 10_000
"""Bytes; an output with a longer script can never be spent."""
COINBASE_BIT = 1
"""Bit of a coin's first byte that says it was mined."""
COIN_VALUE = slice(4, 12)
"""A coin's value in its bytes, as signature hashes take it: 8 bytes, little endian."""
COIN_SCRIPT = slice(12, None)
"""A coin's script in its bytes. These three are for loops over many coins, where an attribute takes too long."""
_CODE_SIZE = 4
"""Bytes of height and coinbase bit, before the value."""


class Coin(bytes):
    """An unspent output as storage holds it, looked into only when needed.

    4 bytes height * 2 + coinbase, 8 bytes satoshis, both little endian, then the script.
    """

    __slots__ = ()

    @staticmethod
    def make(height: int, is_coinbase: bool, output: TxOut) -> "Coin":
        """The coin that `output` of a block at `height` becomes."""
        code = (height << 1 | is_coinbase).to_bytes(_CODE_SIZE, "little")
        return Coin(code + output.value.to_bytes(8, "little") + output.script)

    @property
    def height(self) -> int:
        """Height of the block that made it."""
        return int.from_bytes(self[:_CODE_SIZE], "little") >> 1

    @property
    def is_coinbase(self) -> bool:
        """True if it was mined: it has to mature first."""
        return bool(self[0] & COINBASE_BIT)

    @property
    def value(self) -> int:
        """Satoshis."""
        return int.from_bytes(self[COIN_VALUE], "little")

    @property
    def script(self) -> bytes:
        """The scriptPubKey."""
        return self[COIN_SCRIPT]


def is_unspendable(script: bytes) -> bool:
    """True for outputs that never enter the coin set: OP_RETURN, or a script over 10,000 bytes."""
    return script[:1] == OP_RETURN or len(script) > MAX_SCRIPT_SIZE


def add_outputs(tx: Tx, height: int, is_coinbase: bool, created: dict[OutPoint, Coin]) -> None:
    """Put the coins that a transaction of the block at `height` makes into `created` (Core's AddCoins)."""
    code = (height << 1 | is_coinbase).to_bytes(_CODE_SIZE, "little")
    txid = tx.txid
    for index, output in enumerate(tx.outputs):
        script = output.script
        if not is_unspendable(script):
            # As Coin.make and outpoint(), for all outputs at once: most of what a block does to the coins.
            point = OutPoint(txid + index.to_bytes(4, "little"))
            created[point] = Coin(code + output.value.to_bytes(8, "little") + script)


CoinLookup = Callable[[OutPoint], Coin | None]
"""Finds an unspent coin. In tests `{...}.get`, in the node the store's, or the mempool's."""


@value
class CoinsDelta:
    """The changes that a piece of chain makes to the coin set. Never changed once returned.

    A transaction mined again at another height leaves its outpoint in both: so whoever applies
    a delta deletes `spent` first and then puts `created`, and `over` looks in `created` first.
    """

    created: dict[OutPoint, Coin]
    """Coins that are there afterwards and were not, or not the same, before."""
    spent: dict[OutPoint, Coin]
    """Coins that were there before and are not, or not the same, afterwards."""

    def inverse(self) -> "CoinsDelta":
        """The delta that undoes this one."""
        return CoinsDelta(self.spent, self.created)

    def then(self, later: "CoinsDelta") -> "CoinsDelta":
        """This, followed by `later`."""
        return CoinsDelta.fold((self, later))

    def over(self, lookup: CoinLookup) -> CoinLookup:
        """Sees the coins as they are after this, on top of what `lookup` sees."""
        created, spent = self.created, self.spent

        def find(point: OutPoint) -> Coin | None:
            coin = created.get(point)
            if coin is not None or point in spent:
                return coin
            return lookup(point)

        return find

    @staticmethod
    def fold(deltas: Iterable["CoinsDelta"]) -> "CoinsDelta":
        """Deltas applied one after the other, as one, in time linear in their size."""
        builder = DeltaBuilder(lambda _: None)
        for delta in deltas:
            builder.add(delta)
        return builder.delta


class DeltaBuilder:
    """Folds deltas one by one and sees the coins as they are on the way: for walking a path."""

    __slots__ = ("coin", "delta")

    def __init__(self, base: CoinLookup) -> None:
        self.delta = CoinsDelta({}, {})
        """Everything added so far. It grows with `add`: take it when the path is done."""
        self.coin: CoinLookup = self.delta.over(base)
        """Sees the coins as they are here."""

    def add(self, delta: CoinsDelta) -> None:
        """Go one step on."""
        created, spent = self.delta.created, self.delta.spent
        for point, coin in delta.spent.items():
            # A coin made on the way is gone without a trace; any other was there before.
            if created.pop(point, None) is None:
                spent[point] = coin
        created.update(delta.created)
