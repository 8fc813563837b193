"""Index of the pool's transactions by the hash of the scripts they pay or spend.

What leaves the pool stays here for a while: whoever looks a script up takes of what it finds those
that are among the entries. So a transaction costs nothing when it leaves, and the views of all
tips share one index. When more than half of it is out of date, another takes its place.
"""

from collections.abc import Container, Sequence

from chain.coins import Coin
from chain.hashes import Txid, sha256
from chain.tx import Tx

STALE_SLACK = 10_000
"""Places out of date that the index of a small pool may have."""


class ScriptIndex:
    """The mempool by script: one writer, and readers that take no lock."""

    __slots__ = ("_live", "_rows", "_stale")

    def __init__(self) -> None:
        self._rows: dict[bytes, Txid | list[Txid]] = {}
        """sha256(scriptPubKey) -> the only transaction, or all of them, oldest first."""
        self._live = 0
        """Inputs and outputs of those that are in the pool."""
        self._stale = 0
        """Inputs and outputs of those that have left it."""

    def find(self, script_hash: bytes) -> tuple[Txid, ...]:
        """Transactions that pay or spend the script, among them some that have left the pool."""
        held = self._rows.get(script_hash)
        if held is None:
            return ()
        # Of the list a copy first, in one step: the writer may append.
        return tuple(dict.fromkeys(held[:])) if isinstance(held, list) else (held,)

    def add(self, tx: Tx, spent: Sequence[Coin]) -> None:
        """Note a transaction that spends these coins."""
        self._live += len(tx.outputs) + len(spent)
        scripts = [output.script for output in tx.outputs]
        scripts += [coin.script for coin in spent]
        rows, txid = self._rows, tx.txid
        for script in scripts:
            script_hash = sha256(script)
            held = rows.setdefault(script_hash, txid)
            if held is txid:
                continue
            if not isinstance(held, list):
                if held != txid:
                    rows[script_hash] = [held, txid]
            elif held[-1] != txid:
                held.append(txid)

    def left(self, places: int) -> bool:
        """Transactions with so many inputs and outputs have left the pool; True if it is time to sweep."""
        self._live -= places
        self._stale += places
        return self._stale > self._live + STALE_SLACK

    def swept(self, entries: Container[Txid]) -> "ScriptIndex":
        """Another index with those alone that are in the pool."""
        fresh = ScriptIndex()
        fresh._live = self._live
        rows = fresh._rows
        for script_hash, held in self._rows.items():
            if not isinstance(held, list):
                if held in entries:
                    rows[script_hash] = held
            elif here := [txid for txid in dict.fromkeys(held) if txid in entries]:
                rows[script_hash] = here if len(here) > 1 else here[0]
        return fresh
