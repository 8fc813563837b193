"""Esplora's routes about the mempool, and about what to pay. Rates are satoshis per virtual byte."""

from chain.hashes import to_hex
from node.api.context import Call
from node.api.http.message import JSON, Response, document
from node.api.query.esplora_json import recent_shape
from node.api.routing.route import Route
from node.mempool.fee_estimator import TARGETS
from node.mempool.policy import MIN_RELAY_FEE_SAT_KVB

RECENT_TXS = 10
RECOMMENDED_TARGETS = {"fastestFee": 1, "halfHourFee": 3, "hourFee": 6, "economyFee": 144}
"""Blocks to wait, by mempool.space's names (of ten minutes each)."""


def mempool(call: Call) -> Response:
    """The mempool's sums."""
    pool = call.view.pool
    return document(
        {
            "count": pool.totals.count,
            "vsize": pool.totals.vsize,
            "total_fee": pool.totals.fee,
            "fee_histogram": pool.fee_histogram(),
        }
    )


def mempool_txids(call: Call) -> Response:
    """Ids of all unconfirmed transactions."""
    return document([to_hex(txid) for txid in tuple(call.view.pool.entries)])


def mempool_recent(call: Call) -> Response:
    """The ten newest unconfirmed transactions."""
    return document([recent_shape(entry) for entry in call.view.pool.newest(RECENT_TXS)])


def fee_estimates(call: Call) -> Response:
    """Fee rates by blocks to wait."""
    return document({str(target): _rate(call, target) for target in TARGETS})


def fees_recommended(call: Call) -> Response:
    """Fee rates in mempool.space's words."""
    rates: dict[str, int | float] = {name: _rate(call, target) for name, target in RECOMMENDED_TARGETS.items()}
    return document({**rates, "minimumFee": _least(call)})


def _rate(call: Call, target: int) -> float:
    """The estimate, or that of the next longer wait; where nothing is known, or less is asked than is relayed at all,
    the least that is."""
    estimate = call.view.fees.nearest(target)
    return max(round(estimate.rate, 3) if estimate else 0.0, _least(call))


def _least(call: Call) -> float:
    return round(max(call.view.pool.floor_sat_kvb, MIN_RELAY_FEE_SAT_KVB) / 1000, 3)


ROUTES = (
    Route("GET", "/mempool", mempool, JSON, "Mempool"),
    Route("GET", "/mempool/txids", mempool_txids, JSON, "Txids"),
    Route("GET", "/mempool/recent", mempool_recent, JSON, "RecentTransactions"),
    Route("GET", "/fee-estimates", fee_estimates, JSON, "FeeEstimates"),
    Route("GET", "/v1/fees/recommended", fees_recommended, JSON, "RecommendedFees"),
)
"""About the mempool and fees."""
