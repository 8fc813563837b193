"""Asking the chain what the wallet has: both chains of the account, up to the gap limit."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from chain.hashes import Txid, sha256
from chain.params import COINBASE_MATURITY, INITIAL_SUBSIDY
from chain.tx import TxOut, outpoint_index, outpoint_txid
from wallet.client import Esplora
from wallet.derivation import CHANGE, GAP_LIMIT, RECEIVE, Account, KeyPath
from wallet.errors import NodeError
from wallet.esplora import PAGE_CONFIRMED, PAGE_UNCONFIRMED, ChainIn, ChainTx, NodeTip, Utxo
from wallet.ledger import coins_in, coins_listed, mark_own
from wallet.payment import BURIED_DEPTH
from wallet.state import OwnCoin

PAGES_MAX = 20_000
"""Pages of one script's history: half a million transactions."""
TXS_MAX = PAGES_MAX * PAGE_CONFIRMED
"""Transactions of a wallet, each a kilobyte in memory: an honest page is no larger, but a hostile one may be."""
ADDRESSES_AHEAD_MAX = 20_000
"""Addresses looked at beyond those handed out: more have been used by no wallet that was restored."""
BATCH = 32
"""Addresses asked for side by side."""
RECOGNISED_AHEAD = 200
"""Addresses beyond the gap limit that are recognised in transactions read for another address."""


@dataclass(slots=True)
class Scan:
    """Findings of one walk through the account."""

    tip: NodeTip
    """The best block when the walk began."""
    txs: dict[Txid, ChainTx] = field(default_factory=dict)
    """Transactions of ours: all of them if the walk was whole, otherwise at least the young."""
    coins: list[OwnCoin] = field(default_factory=list)
    used: set[KeyPath] = field(default_factory=set)
    """Addresses with any transaction, those passed over included."""
    settled: set[KeyPath] = field(default_factory=set)
    """Addresses used and emptied, all of it buried."""
    looked_at: dict[int, int] = field(default_factory=lambda: {RECEIVE: 0, CHANGE: 0})
    """Number of addresses of each chain that were looked at."""

    def next_index(self, chain: int) -> int:
        """The first index after the last used address of a chain."""
        return max((path.index + 1 for path in self.used if path.chain == chain), default=0)


def scan(
    client: Esplora,
    account: Account,
    tip: NodeTip,
    handed_out: tuple[int, int],
    *,
    whole: bool = False,
    passed_over: Iterable[KeyPath] = (),
) -> Scan:
    """Walk both chains until GAP_LIMIT unused addresses follow the last used or handed out one.

    An address is used that any transaction read pays, whichever address it was read for: so change
    beyond the gap is found too. `handed_out` counts addresses known to be in use (receiving,
    change). `whole` reads every script's history to its end; without it only as far as coins need.
    Addresses in `passed_over` are taken for used and empty. Raises NodeError for what cannot be.
    """
    found = Scan(tip)
    skip = frozenset(passed_over)
    found.used |= skip
    while batch := _next_batch(found, account, handed_out):
        paths = [path for path in batch if path not in skip]
        pages = client.first_pages([sha256(account.script(path)) for path in paths])
        for path, page in zip(paths, pages, strict=True):
            _visit(client, account, path, page, found, whole=whole)
        found.looked_at[batch[-1].chain] = batch[-1].index + 1
    found.coins = mark_own(found.coins, found.txs, account.path_of)
    found.settled |= skip
    _check_supply(found, client)
    return found


def _next_batch(found: Scan, account: Account, handed_out: tuple[int, int]) -> list[KeyPath]:
    """The next addresses to look at, as far as is known that there are any: of one chain, and then the other."""
    ends = {chain: max(handed_out[chain], found.next_index(chain)) + GAP_LIMIT for chain in (RECEIVE, CHANGE)}
    for chain, end in ends.items():
        account.derive(chain, end + RECOGNISED_AHEAD)
    for chain, end in ends.items():
        start = found.looked_at[chain]
        if start > handed_out[chain] + ADDRESSES_AHEAD_MAX:
            raise NodeError(f"the node shows more than {ADDRESSES_AHEAD_MAX} used addresses: use another --node")
        if start < end:
            return [KeyPath(chain, index) for index in range(start, min(end, start + BATCH))]
    return []


def _check_supply(found: Scan, client: Esplora) -> None:
    """Blocks make 50 coins each at most, so there are never more."""
    claimed = sum(coin.value for coin in found.coins)
    if claimed <= INITIAL_SUBSIDY * (found.tip.height + 1):
        return
    height = client.tip_height()  # blocks may have come while the wallet looked
    if claimed > INITIAL_SUBSIDY * (height + 1):
        raise NodeError(
            f"the node claims {claimed} sat for this wallet, more than {height} blocks can have made: "
            "use another --node"
        )


def _visit(client: Esplora, account: Account, path: KeyPath, txs: list[ChainTx], found: Scan, *, whole: bool) -> None:
    """Add to `found` what one address has, of whose history `txs` is the first page."""
    if not txs:
        return
    script = account.script(path)
    script_hash = sha256(script)
    unconfirmed = sum(tx.height is None for tx in txs)
    complete = unconfirmed < PAGE_UNCONFIRMED and len(txs) - unconfirmed < PAGE_CONFIRMED
    if whole and not complete:
        txs = _rest(client, script_hash, txs, -1)
        complete = unconfirmed < PAGE_UNCONFIRMED
    _check_history(script, txs, complete=complete)
    if complete:
        coins = coins_in(script, path, txs)
    else:
        # A busy address: its coins are fewer than its transactions. Only the young among them
        # may be immature, and the history tells which are.
        utxos = client.script_coins(script_hash)
        mature_height = found.tip.height - COINBASE_MATURITY + 1
        if not whole and any(utxo.height is not None and utxo.height > mature_height for utxo in utxos):
            txs = _rest(client, script_hash, txs, mature_height)
            _check_history(script, txs, complete=False)
        known = {tx.txid: tx for tx in txs}
        _check_coins(script, utxos, known)
        coins = coins_listed(utxos, path, mature_height, known)
    found.txs.update((tx.txid, tx) for tx in txs)
    if len(found.txs) > TXS_MAX:
        raise NodeError(f"the node shows more than {TXS_MAX} transactions of this wallet: too many to read")
    found.used.add(path)
    found.used |= {own for tx in txs for output in tx.outputs if (own := account.path_of(output.script))}
    found.coins += coins
    buried = found.tip.height - BURIED_DEPTH + 1
    if complete and not coins and all(tx.height is not None and tx.height <= buried for tx in txs):
        found.settled.add(path)


def _check_history(script: bytes, txs: list[ChainTx], *, complete: bool) -> None:
    """Raises NodeError for a transaction that is listed twice, or has nothing to do with the script."""
    known = {tx.txid: tx for tx in txs}
    if len(known) != len(txs):
        raise NodeError("the node repeats transactions in an address's history: try again, or use another --node")
    for tx in txs:
        pays = any(output.script == script for output in tx.outputs)
        if not pays and not any(_spends(spent, script, known, complete) for spent in tx.inputs):
            raise NodeError("the node lists a transaction for an address that it does not touch: use another --node")


def _spends(spent: ChainIn, script: bytes, known: dict[Txid, ChainTx], complete: bool) -> bool:
    """True if an input spends the script; in a complete history the coin that it spends is there too."""
    if spent.prevout is None or spent.prevout.script != script:
        return False
    source = known.get(outpoint_txid(spent.outpoint))
    if source is None:
        return not complete
    index = outpoint_index(spent.outpoint)
    return index < len(source.outputs) and source.outputs[index] == spent.prevout


def _check_coins(script: bytes, utxos: list[Utxo], known: dict[Txid, ChainTx]) -> None:
    """Raises NodeError for a coin that is listed twice, or is not what the transaction that made it says."""
    if len({utxo.outpoint for utxo in utxos}) != len(utxos):
        raise NodeError("the node lists a coin twice: use another --node")
    for utxo in utxos:
        source, index = known.get(outpoint_txid(utxo.outpoint)), outpoint_index(utxo.outpoint)
        if source and (index >= len(source.outputs) or source.outputs[index] != TxOut(utxo.value, script)):
            raise NodeError("the node lists a coin with another amount than was paid: use another --node")


def _rest(client: Esplora, script_hash: bytes, first: list[ChainTx], down_to: int) -> list[ChainTx]:
    """The first page and those after it, until the blocks go below a height."""
    txs = list(first)
    page = [tx for tx in first if tx.height is not None]
    seen = {tx.txid for tx in txs}
    for _ in range(PAGES_MAX):
        if len(page) < PAGE_CONFIRMED or (page[-1].height or 0) <= down_to:
            return txs
        page = client.script_txs_after(script_hash, page[-1].txid)
        if not seen.isdisjoint(tx.txid for tx in page):
            raise NodeError("the node repeats transactions in an address's history: try again, or use another --node")
        seen.update(tx.txid for tx in page)
        txs += page
        if len(txs) > TXS_MAX:
            break
    raise NodeError(f"one address has more than {TXS_MAX} transactions: too many to read")


def used_receiving(client: Esplora, account: Account, handed_out: int) -> frozenset[int]:
    """Indexes of the receiving addresses that anybody has paid, up to the gap limit."""
    used: set[int] = set()
    index, end = 0, handed_out + GAP_LIMIT
    while index < end:
        if index > handed_out + ADDRESSES_AHEAD_MAX:
            raise NodeError(f"the node shows more than {ADDRESSES_AHEAD_MAX} used addresses: use another --node")
        batch = range(index, min(end, index + BATCH))
        scripts = [account.script(KeyPath(RECEIVE, one)) for one in batch]
        for one, script, txs in zip(batch, scripts, client.first_pages([*map(sha256, scripts)]), strict=True):
            _check_history(script, txs, complete=False)
            if txs:
                used.add(one)
        index, end = batch[-1] + 1, max(end, max(used, default=-1) + 1 + GAP_LIMIT)
    return frozenset(used)
