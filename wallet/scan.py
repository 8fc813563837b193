"""Asking the chain what the wallet has: both chains of the account, up to the gap limit."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from chain.hashes import Txid, sha256
from chain.params import COINBASE_MATURITY
from wallet.client import Esplora
from wallet.derivation import CHANGE, GAP_LIMIT, RECEIVE, Account, KeyPath
from wallet.errors import NodeError
from wallet.esplora import PAGE_CONFIRMED, PAGE_UNCONFIRMED, ChainTx, Tip
from wallet.ledger import coins_in, coins_listed, mark_own
from wallet.state import BURIED_DEPTH, OwnCoin

PAGES_MAX = 20_000
"""Pages of one script's history: half a million transactions."""


@dataclass(slots=True)
class Scan:
    """What one walk through the account found."""

    tip: Tip
    """The best block when the walk began."""
    txs: dict[Txid, ChainTx] = field(default_factory=dict)
    """Transactions of ours: all of them if the walk was whole, otherwise at least the young."""
    coins: list[OwnCoin] = field(default_factory=list)
    used: set[KeyPath] = field(default_factory=set)
    """Addresses with any transaction, but for those passed over."""
    settled: set[KeyPath] = field(default_factory=set)
    """Addresses used and emptied, all of it buried."""

    def next_index(self, chain: int) -> int:
        """The first index after the last used address of a chain."""
        return max((path.index + 1 for path in self.used if path.chain == chain), default=0)


def scan(
    client: Esplora,
    account: Account,
    tip: Tip,
    handed_out: tuple[int, int],
    *,
    whole: bool = False,
    passed_over: Iterable[KeyPath] = (),
) -> Scan:
    """Walk both chains until GAP_LIMIT unused addresses follow the last used or handed out one.

    `handed_out` counts addresses known to be in use (receiving, change). `whole` reads every
    script's history to its end; without it only as far as coins need. Addresses in
    `passed_over` are taken for used and empty.
    """
    found = Scan(tip)
    skip = frozenset(passed_over)
    for chain in (RECEIVE, CHANGE):
        index, end = 0, handed_out[chain] + GAP_LIMIT
        while index < end:
            path = KeyPath(chain, index)
            if path in skip or _visit(client, account, path, found, whole=whole):
                end = max(end, index + 1 + GAP_LIMIT)
            index += 1
    found.coins = mark_own(found.coins, found.txs, account.path_of)
    found.settled |= skip
    found.used |= skip
    return found


def _visit(client: Esplora, account: Account, path: KeyPath, found: Scan, *, whole: bool) -> bool:
    """Add what one address has to `found`; False if it was never used."""
    script = account.script(path)
    script_hash = sha256(script)
    txs = client.script_txs(script_hash)
    if not txs:
        return False
    found.used.add(path)
    unconfirmed = sum(tx.height is None for tx in txs)
    complete = unconfirmed < PAGE_UNCONFIRMED and len(txs) - unconfirmed < PAGE_CONFIRMED
    if whole and not complete:
        txs = _rest(client, script_hash, txs, -1)
        complete = unconfirmed < PAGE_UNCONFIRMED
    if complete:
        coins = coins_in(script, path, txs)
    else:
        # A busy address: its coins are fewer than its transactions. Only the young among them
        # may be immature, and the history tells which are.
        utxos = client.script_coins(script_hash)
        mature_height = found.tip.height - COINBASE_MATURITY + 1
        if not whole and any(utxo.height is not None and utxo.height > mature_height for utxo in utxos):
            txs = _rest(client, script_hash, txs, mature_height)
        coins = coins_listed(utxos, path, mature_height, {tx.txid: tx for tx in txs})
    found.txs.update((tx.txid, tx) for tx in txs)
    found.coins += coins
    buried = found.tip.height - BURIED_DEPTH + 1
    if complete and not coins and all(tx.height is not None and tx.height <= buried for tx in txs):
        found.settled.add(path)
    return True


def _rest(client: Esplora, script_hash: bytes, first: list[ChainTx], down_to: int) -> list[ChainTx]:
    """The first page and those after it, until the blocks go below a height."""
    txs = list(first)
    page = [tx for tx in first if tx.height is not None]
    for _ in range(PAGES_MAX):
        if len(page) < PAGE_CONFIRMED or (page[-1].height or 0) <= down_to:
            return txs
        page = client.script_txs_after(script_hash, page[-1].txid)
        txs += page
    raise NodeError(f"one address has more than {PAGES_MAX * PAGE_CONFIRMED} transactions: too many to read")


def used_receiving(client: Esplora, account: Account, handed_out: int) -> frozenset[int]:
    """Indexes of the receiving addresses that anybody has paid, up to the gap limit."""
    used = set()
    index, end = 0, handed_out + GAP_LIMIT
    while index < end:
        if client.script_txs(sha256(account.script(KeyPath(RECEIVE, index)))):
            used.add(index)
            end = max(end, index + 1 + GAP_LIMIT)
        index += 1
    return frozenset(used)
