"""The wallet's coins as its transactions make them, with our own pending payments on top. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from chain.hashes import Txid
from chain.tx import OutPoint, TxOut, outpoint, outpoint_txid
from wallet.delivery import held_coins, is_live
from wallet.derivation import KeyPath
from wallet.esplora import ChainIn, ChainTx, Utxo
from wallet.payment import Payment, Stage
from wallet.state import OwnCoin

PathOf = Callable[[bytes], KeyPath | None]
"""Finds whose a scriptPubKey is: the key's place in our account, or None."""
ScriptAt = Callable[[KeyPath], bytes]
"""Finds the scriptPubKey of the key at a place."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Balance of the wallet, in satoshis. The first three add up to everything."""

    confirmed: int
    """Coins in blocks, and free to spend."""
    unconfirmed: int
    """Coins in no block yet: change, and payments to us under way."""
    immature: int
    """Mined by us less than 100 blocks ago."""
    spendable: int
    """Coins that `send` could spend now: confirmed, and unconfirmed that a node is known to have."""


def balance_of(coins: Mapping[OutPoint, OwnCoin], payments: Iterable[Payment], tip_height: int) -> Balance:
    """The sums over the coins, of which `payments` made some."""
    confirmed = unconfirmed = immature = 0
    for coin in coins.values():
        if coin.height is None:
            unconfirmed += coin.value
        elif coin.is_mature(tip_height):
            confirmed += coin.value
        else:
            immature += coin.value
    mature = (coin for coin in offered(coins, payments).values() if coin.is_mature(tip_height))
    return Balance(confirmed, unconfirmed, immature, sum(coin.value for coin in mature))


def coins_in(script: bytes, path: KeyPath, txs: Iterable[ChainTx]) -> list[OwnCoin]:
    """The coins of a script whose whole history `txs` is."""
    txs = tuple(txs)
    spent = {spent.outpoint for tx in txs for spent in tx.inputs}
    return [
        OwnCoin(point, output.value, path, tx.height, tx.is_coinbase, proven=True)
        for tx in txs
        for index, output in enumerate(tx.outputs)
        if output.script == script and (point := outpoint(tx.txid, index)) not in spent
    ]


def coins_listed(
    utxos: Iterable[Utxo], path: KeyPath, mature_height: int, txs: Mapping[Txid, ChainTx]
) -> list[OwnCoin]:
    """The coins of a script whose history is known in part. Coinbases up to `mature_height` are
    mature; a younger coin whose transaction is not among `txs` is taken for an immature coinbase."""
    coins = []
    for utxo in utxos:
        tx = txs.get(outpoint_txid(utxo.outpoint))
        young = utxo.height is not None and utxo.height > mature_height
        is_coinbase = tx.is_coinbase if tx else young
        coins.append(OwnCoin(utxo.outpoint, utxo.value, path, utxo.height, is_coinbase))
    return coins


def mark_own(coins: Iterable[OwnCoin], txs: Mapping[Txid, ChainTx], path_of: PathOf) -> list[OwnCoin]:
    """The coins, those marked `own` that an unconfirmed payment of ours made."""
    marked = []
    for coin in coins:
        tx = txs.get(outpoint_txid(coin.outpoint)) if coin.height is None else None
        own = tx is not None and all(i.prevout is not None and path_of(i.prevout.script) for i in tx.inputs)
        marked.append(replace(coin, own=True) if own else coin)
    return marked


def with_payments(coins: Iterable[OwnCoin], payments: Iterable[Payment]) -> dict[OutPoint, OwnCoin]:
    """The coins as they are once the wallet's own payments are counted that the chain did not show."""
    payments = tuple(payments)
    held = held_coins(payments)
    left = {coin.outpoint: coin for coin in coins if coin.outpoint not in held}
    for payment in _expected(payments):
        for index, path in payment.outputs:
            point = outpoint(payment.txid, index)
            value = payment.tx.outputs[index].value
            if point not in held:
                left.setdefault(point, OwnCoin(point, value, path, None, own=True, proven=True))
    return left


def _expected(payments: Sequence[Payment]) -> Iterator[Payment]:
    """The payments that the chain did not show, and that are likely to be mined: of several that spend
    the same coin one alone, and none that stands on another of those."""
    live = [payment for payment in payments if is_live(payment)]
    first = sorted(live, key=lambda p: (p.counted, p.stage in (Stage.SEEN, Stage.BURIED)))  # the newest last
    spender = {point: payment.txid for payment in first for point in payment.spent}
    left_out = {payment.txid for payment in payments if not is_live(payment)}
    for payment in live:
        stands = all(spender[point] == payment.txid and outpoint_txid(point) not in left_out for point in payment.spent)
        if payment.conflict or not stands:
            left_out.add(payment.txid)
        elif not payment.counted:
            yield payment


def offered(coins: Mapping[OutPoint, OwnCoin], payments: Iterable[Payment]) -> dict[OutPoint, OwnCoin]:
    """The coins that a payment may be made from: none made by a payment that no node is known to have."""
    unseen = {payment.txid for payment in payments if payment.stage in (Stage.SIGNED, Stage.HANDED_OUT)}
    return {point: coin for point, coin in coins.items() if outpoint_txid(point) not in unseen}


def unconfirmed_ancestors(payments: Iterable[Payment]) -> dict[Txid, frozenset[Txid]]:
    """Unconfirmed payments that each unconfirmed payment of ours stands on, itself included.

    Of other people's we know nothing: the node has the last word.
    """
    ancestors: dict[Txid, frozenset[Txid]] = {}
    for payment in payments:
        if not is_live(payment) or payment.height is not None:
            continue
        parents = (ancestors.get(outpoint_txid(point), frozenset()) for point in payment.spent)
        ancestors[payment.txid] = frozenset({payment.txid}).union(*parents)
    return ancestors


def as_chain_tx(payment: Payment, script_at: ScriptAt) -> ChainTx:
    """A payment in the form that the chain shows transactions in."""
    inputs = tuple(
        ChainIn(point, TxOut(value, script_at(path)))
        for point, (value, path) in zip(payment.spent, payment.inputs, strict=True)
    )
    return ChainTx(payment.txid, inputs, payment.tx.outputs, payment.fee, payment.height, None)
