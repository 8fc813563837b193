"""The page of an address or a script hash: the balance, the history, the coins."""

from functools import lru_cache

import segno

from chain.address import decode_address
from chain.frozen import value
from chain.hashes import Txid, sha256, to_hex
from chain.tx import outpoint_index, outpoint_txid
from node.api.context import Call
from node.api.explorer.rows import TxRow, found_row, in_pool
from node.api.query.queries import FoundTx, NoIndex, script_history
from node.interface.storage import ScriptStats

TXS_PER_PAGE = 25
UNCONFIRMED_MAX = 25
"""Unconfirmed transactions that are listed, the newest."""
COINS_MAX = 25
"""Unspent outputs that are listed; more are at the API's route."""
CODES_KEPT = 64
"""QR codes that are not drawn again, 5 kB each; beyond, the one that was not asked for longest goes."""


@value
class CoinRow:
    """An unspent output."""

    txid: str
    index: int
    amount: int
    height: int | None
    """None: not confirmed."""


@value
class ScriptPage:
    """An address or a script hash."""

    name: str
    """The address, or the hash in hex."""
    is_address: bool
    script_hash: str
    script: str | None
    """Hex; None where only the hash is known."""
    confirmed: ScriptStats
    pending: ScriptStats
    unconfirmed: list[TxRow]
    history: list[TxRow]
    older: str | None
    """The last txid of this page, where there may be more."""
    after: str | None
    """The txid that this page begins behind; None: it is the first."""
    is_lost: bool
    """There is nothing behind `after`, which is no (longer) part of the history."""
    coins: list[CoinRow]
    coins_count: int
    """Number of all unspent outputs, those of the mempool among them."""
    qr_path: str
    qr_size: int

    @property
    def balance(self) -> int:
        """Confirmed satoshis."""
        return self.confirmed.funded_sum - self.confirmed.spent_sum

    @property
    def pending_change(self) -> int:
        """The change that the mempool makes to the balance."""
        return self.pending.funded_sum - self.pending.spent_sum


def script_page(call: Call, name: str, script: bytes | None, script_hash: bytes, after: Txid | None) -> ScriptPage:
    """The page of a script; its history behind the transaction `after`. Raises NoIndex."""
    view, pool = call.view, call.view.pool
    if not view.reader.has_index:
        raise NoIndex
    confirmed, pending = view.reader.stats(script_hash), pool.script_stats(script_hash)
    found = script_history(view, script_hash, after, TXS_PER_PAGE + 1)
    rows = [found_row(one, _change(one, script_hash)) for one in found[:TXS_PER_PAGE]]
    waiting = [] if after else [in_pool(one) for one in pool.script_entries(script_hash, UNCONFIRMED_MAX)]
    path, size = _qr(name.upper() if name.startswith("bcrt1") else name)
    return ScriptPage(
        name=name,
        is_address=script is not None,
        script_hash=script_hash.hex(),
        script=script.hex() if script is not None else None,
        confirmed=confirmed,
        pending=pending,
        unconfirmed=[found_row(one, _change(one, script_hash)) for one in waiting],
        history=rows,
        older=rows[-1].txid if len(found) > TXS_PER_PAGE else None,
        after=to_hex(after) if after else None,
        is_lost=after is not None and not rows and not _is_in(call, script_hash, after),
        coins=[] if after else _coins(call, script_hash),
        coins_count=confirmed.funded_count + pending.funded_count - confirmed.spent_count - pending.spent_count,
        qr_path=path,
        qr_size=size,
    )


def script_of(address: str) -> tuple[bytes, bytes]:
    """The script that an address stands for, and its hash. Raises AddressError."""
    script = decode_address(address)
    return script, sha256(script)


def _is_in(call: Call, script_hash: bytes, txid: Txid) -> bool:
    """True if a transaction is part of a script's history; it may be its end."""
    place = call.view.reader.tx_location(txid)
    if place is None:
        return False
    rows = call.view.reader.history(script_hash, (place.height, place.position + 1), 1)
    return bool(rows) and rows[0].txid == txid


def _change(found: FoundTx, script_hash: bytes) -> int:
    """The change that a transaction makes to the script's balance, in satoshis."""
    is_it = _Is(script_hash)
    gained = sum(output.value for output in found.tx.outputs if is_it(output.script))
    return gained - sum(coin.value for coin in found.spent if coin is not None and is_it(coin.script))


class _Is:
    """Is this the script of that hash? Hashes each script once."""

    def __init__(self, script_hash: bytes) -> None:
        self._script_hash = script_hash
        self._verdicts: dict[bytes, bool] = {}

    def __call__(self, script: bytes) -> bool:
        verdict = self._verdicts.get(script)
        if verdict is None:
            verdict = self._verdicts[script] = sha256(script) == self._script_hash
        return verdict


def _coins(call: Call, script_hash: bytes) -> list[CoinRow]:
    """Unspent outputs: those of the mempool first."""
    view, pool = call.view, call.view.pool
    rows = [
        CoinRow(to_hex(outpoint_txid(point)), outpoint_index(point), coin.value, None)
        for point, coin in pool.script_coins(script_hash)[:COINS_MAX]
    ]
    for point, coin in view.reader.utxos(script_hash, COINS_MAX):
        if len(rows) < COINS_MAX and pool.spender(point) is None:
            rows.append(CoinRow(to_hex(outpoint_txid(point)), outpoint_index(point), coin.value, coin.height))
    return rows


@lru_cache(CODES_KEPT)
def _qr(text: str) -> tuple[str, int]:
    """A text's code as one SVG path of squares, and how many modules wide it is, without a margin."""
    code = segno.make(text, micro=False)
    parts = []
    for y, line in enumerate(code.matrix):
        x = 0
        while x < len(line):
            run = x
            while run < len(line) and line[run]:
                run += 1
            if run > x:
                parts.append(f"M{x} {y}h{run - x}v1h{x - run}z")
            x = run + 1
    return "".join(parts), len(code.matrix)
