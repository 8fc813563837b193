"""What to pay: Esplora's estimates and mempool.space's recommendation. Satoshis per virtual byte."""

from flask import Response

from node.api.answers import JSON, document
from node.api.call import Call
from node.api.routes import Route
from node.fees import TARGETS
from node.policy import MIN_RELAY_FEE_SAT_KVB

RECOMMENDED_TARGETS = {"fastestFee": 1, "halfHourFee": 3, "hourFee": 6, "economyFee": 144}
"""Blocks to wait, by mempool.space's names (of ten minutes each)."""


def estimates(call: Call) -> Response:
    return document({str(target): _rate(call, target) for target in TARGETS})


def recommended(call: Call) -> Response:
    rates: dict[str, int | float] = {name: _rate(call, target) for name, target in RECOMMENDED_TARGETS.items()}
    return document({**rates, "minimumFee": _least(call)})


def _rate(call: Call, target: int) -> float:
    """The estimate; without data, or below what is relayed at all, the least that is."""
    estimate = call.view.fees.estimate(target)
    return max(round(estimate or 0.0, 3), _least(call))


def _least(call: Call) -> float:
    return round(max(call.view.pool.floor_sat_kvb, MIN_RELAY_FEE_SAT_KVB) / 1000, 3)


ROUTES = (
    Route("GET", "/fee-estimates", estimates, "Fee rates by blocks to wait", JSON),
    Route("GET", "/v1/fees/recommended", recommended, "Fee rates in mempool.space's words", JSON),
)
"""About fees."""
