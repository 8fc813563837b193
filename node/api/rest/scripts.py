"""Esplora's routes about a script, by address or by script hash: sums, history, coins. All need the index."""

from collections.abc import Callable, Iterable
from typing import Any

from node.api.context import Call
from node.api.encoding.json_codec import Shape
from node.api.http.message import JSON, Problem, Response, document
from node.api.query.esplora_json import stats_shape, tx_shape, utxo_shape
from node.api.query.queries import FoundTx, script_history
from node.api.routing.route import LastSeen, ParamType, Route, ScriptName
from node.mempool.entry import MempoolEntry

TXS_PER_PAGE = 25
UNCONFIRMED_MAX = 50
"""Unconfirmed transactions of a history; the newest are listed."""
UTXOS_MAX = 50_000
"""Coins of one script that are listed; with more the request is refused."""

_TOO_MANY = (400, f"too many unspent outputs: more than {UTXOS_MAX}")


def address_stats(call: Call, script: ScriptName) -> Response:
    """Sums of a script, by its address."""
    return document({"address": script.given, **_stats(call, script)})


def script_stats(call: Call, script: ScriptName) -> Response:
    """Sums of a script, by its hash."""
    return document({"scripthash": script.given, **_stats(call, script)})


def history(call: Call, script: ScriptName, after_txid: LastSeen | None) -> Response:
    """Newest transactions of a script, unconfirmed ones first."""
    if after_txid is not None:
        return history_page(call, script, after_txid)
    unconfirmed = call.view.pool.script_entries(script.script_hash, UNCONFIRMED_MAX)
    confirmed = script_history(call.view, script.script_hash, None, TXS_PER_PAGE)
    return _txs([*map(_in_pool, unconfirmed), *confirmed])


def history_page(call: Call, script: ScriptName, last: LastSeen | None = None) -> Response:
    """Confirmed transactions of a script, newest first, or those after a given one."""
    txid = last.txid if last else None
    return _txs(script_history(call.view, script.script_hash, txid, TXS_PER_PAGE))


def unconfirmed(call: Call, script: ScriptName) -> Response:
    """Unconfirmed transactions of a script."""
    return _txs(map(_in_pool, call.view.pool.script_entries(script.script_hash, UNCONFIRMED_MAX)))


def utxos(call: Call, script: ScriptName) -> Response:
    """Unspent outputs of a script."""
    view, pool = call.view, call.view.pool
    stats = view.reader.stats(script.script_hash)
    if stats.funded_count - stats.spent_count > UTXOS_MAX:
        raise Problem(*_TOO_MANY)
    confirmed = view.reader.utxos(script.script_hash, UTXOS_MAX)
    shapes = [
        utxo_shape(point, coin, view.tip.ancestor(coin.height))
        for point, coin in confirmed
        if pool.spender(point) is None
    ]
    shapes += [utxo_shape(point, coin, None) for point, coin in pool.script_coins(script.script_hash)]
    return document(shapes)


def _stats(call: Call, script: ScriptName) -> Shape:
    return {
        "chain_stats": stats_shape(call.view.reader.stats(script.script_hash)),
        "mempool_stats": stats_shape(call.view.pool.script_stats(script.script_hash)),
    }


def _in_pool(entry: MempoolEntry) -> FoundTx:
    return FoundTx(entry.tx, None, entry.spent, entry)


def _txs(found: Iterable[FoundTx]) -> Response:
    return document([tx_shape(one) for one in found])


def _table(name: str, kind: ParamType, stats: Callable[..., Response], shape: str) -> tuple[Route, ...]:
    """The routes of one way to name a script."""
    of_script = {"script": kind}
    base = f"/{name}/:script"

    def get(path: str, answer: Callable[..., Response], schema: str, **more: Any) -> Route:
        return Route("GET", base + path, answer, JSON, schema, **{"params": of_script, **more})

    return (
        get("", stats, shape, needs_index=True),
        get("/txs", history, "History", query={"after_txid": ParamType.LENIENT_TXID}, needs_index=True),
        get("/txs/chain", history_page, "TransactionPage", needs_index=True),
        get(
            "/txs/chain/:last",
            history_page,
            "TransactionPage",
            params={**of_script, "last": ParamType.LENIENT_TXID},
            needs_index=True,
        ),
        get("/txs/mempool", unconfirmed, "UnconfirmedHistory"),
        get("/utxo", utxos, "Utxos", errors=(_TOO_MANY,), needs_index=True),
    )


ROUTES = (
    *_table("address", ParamType.ADDRESS, address_stats, "AddressStats"),
    *_table("scripthash", ParamType.SCRIPT_HASH, script_stats, "ScriptStats"),
)
"""Routes by address and by script hash."""
