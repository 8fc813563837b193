"""Amounts of coins read from the transactions that made them, before anything is signed.

A signature of segwit version 0 covers the amount of its own coin alone. A node that lies about
one coin in one signing, and about another in the next, could otherwise join two halves that are
true into a payment whose difference goes to the miner.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from chain.hashes import Txid, to_hex
from chain.tx import Tx, TxOut, outpoint_index, outpoint_txid
from wallet.client import Esplora
from wallet.derivation import Account
from wallet.errors import NodeError
from wallet.state import PARENTS_BYTES_MAX, PARENTS_MAX, OwnCoin, Snapshot, format_outpoint


def proven_coins(client: Esplora, account: Account, coins: Iterable[OwnCoin], own: Mapping[Txid, Tx]) -> list[OwnCoin]:
    """The coins, each with the amount of its parent transaction, whose hash was checked.

    `own` holds the wallet's payments. Raises NodeError where the node's amount was another, or
    where it does not have the parent.
    """
    read = dict(own)
    proven = []
    for coin in coins:
        if not coin.proven:
            parent = _read(client, outpoint_txid(coin.outpoint), read)
            index = outpoint_index(coin.outpoint)
            said = TxOut(coin.value, account.script(coin.path))
            if index >= len(parent.outputs) or parent.outputs[index] != said:
                raise NodeError(
                    f"the node said that coin {format_outpoint(coin.outpoint)} holds {coin.value} sat, and its "
                    "transaction says otherwise: nothing was signed; use another --node"
                )
            coin = replace(coin, proven=True)
        proven.append(coin)
    return proven


def foreign_parents(client: Esplora, coins: Iterable[OwnCoin], own: Mapping[Txid, Tx]) -> tuple[bytes, ...]:
    """The unconfirmed transactions of others that these coins stand on, children before parents.

    They are kept with a payment: without them it cannot be mined, and by them a conflict is found.
    Raises NodeError where one that made a coin is gone.
    """
    made = [outpoint_txid(coin.outpoint) for coin in coins if coin.height is None]
    wanted = list(dict.fromkeys(made))
    parents: dict[Txid, bytes] = {}
    size = 0
    while wanted and len(parents) < PARENTS_MAX:
        txid = wanted.pop(0)
        if txid in own or txid in parents:
            continue
        shown = client.tx(txid)
        if shown is None and txid in made:
            raise NodeError(f"the node does not show {to_hex(txid)} any more, which made a coin: nothing was signed")
        if shown is None or shown.height is not None:
            continue
        parent = _read(client, txid, {})
        size += parent.size
        if size > PARENTS_BYTES_MAX:
            break
        parents[txid] = parent.raw
        wanted += [outpoint_txid(spent.outpoint) for spent in parent.inputs]
    return tuple(parents.values())


def _read(client: Esplora, txid: Txid, read: dict[Txid, Tx]) -> Tx:
    if txid not in read:
        parent = client.raw_tx(txid)
        if parent is None:
            raise NodeError(f"the node does not show transaction {to_hex(txid)}, which made a coin: nothing was signed")
        read[txid] = parent
    return read[txid]


def with_proven(snapshot: Snapshot | None, proven: Sequence[OwnCoin]) -> Snapshot | None:
    """The snapshot with these coins' amounts noted as proven."""
    if snapshot is None:
        return None
    points = {coin.outpoint for coin in proven}
    coins = tuple(replace(coin, proven=True) if coin.outpoint in points else coin for coin in snapshot.coins)
    return replace(snapshot, coins=coins)
