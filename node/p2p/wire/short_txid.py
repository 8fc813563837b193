"""Short txids of transactions in announcements: 8 bytes each, and other ones at every node.

A name is a hash of the witness txid, keyed with what the node to which it is told has drawn at its
start (`Facts.instance`, which its handshake tells). So one transaction has one name at a node,
whoever announces it there, and is asked for once; and nobody can prepare two transactions that
have one name everywhere. Who finds two for one node, 2**32 hashes, hides one of his own from it.
"""

from collections.abc import Iterable
from functools import partial
from hashlib import blake2b
from typing import NewType

from chain.hashes import Wtxid
from node.interface.messages import NAME_SIZE
from node.mempool.mempool import Mempool

Name = NewType("Name", bytes)
"""The names of a transaction at one node."""

SPARE_NAMES = 1_000
"""Short txids of transactions that have left the pool are swept out when there are more than this, and
than the pool's."""


def names_at(salt: bytes, wtxids: Iterable[Wtxid]) -> tuple[Name, ...]:
    """The names of these transactions at the node that drew `salt`."""
    hashed = partial(blake2b, digest_size=NAME_SIZE, key=salt)
    return tuple([Name(hashed(wtxid).digest()) for wtxid in wtxids])


class ShortTxids:
    """This node's names of transactions, and the ones that the pool has."""

    def __init__(self, salt: bytes, mempool: Mempool) -> None:
        self._hashed = partial(blake2b, digest_size=NAME_SIZE, key=salt)
        self._mempool = mempool
        self._held: dict[Name, Wtxid] = {}
        """Witness txids by name: all of the pool, and some that have left it."""

    def of(self, wtxid: Wtxid) -> Name:
        """The name of a transaction here."""
        return Name(self._hashed(wtxid).digest())

    def hold(self, name: Name, wtxid: Wtxid) -> None:
        """Note that a transaction is in the pool now."""
        self._held[name] = wtxid
        if len(self._held) > 2 * len(self._mempool) + SPARE_NAMES:
            self._held = dict(self.pool())

    def is_held(self, name: Name) -> bool:
        """True if the pool has it."""
        wtxid = self._held.get(name)
        return wtxid is not None and self._mempool.has_wtxid(wtxid)

    def pool(self) -> list[tuple[Name, Wtxid]]:
        """Names and witness txids of the pool, in the order of their coming."""
        return [(name, wtxid) for name, wtxid in self._held.items() if self._mempool.has_wtxid(wtxid)]
