"""`GET /metrics`: the node in numbers for Prometheus, read when it asks.

The numbers are those of `node/interface/counters.py`, `node/runtime/traffic_counters.py` and
`node/api/services/request_metrics.py`.

docs/api.md lists every name.
"""

from collections import Counter
from importlib import import_module
from itertools import accumulate

from node.api.context import Call
from node.api.http.message import Response
from node.api.rest.metric_families import Family, Histogram, MetricType, counter, gauge
from node.api.routing.route import Route
from node.api.services.request_metrics import BUCKETS_S, RequestTimes
from node.p2p.scoring.service_flags import Role

CONTENT = "text/plain; version=0.0.4; charset=utf-8"
"""The text format that every Prometheus reads."""
EXPOSITION = "node.api.rest.prometheus_text"
"""Imported with the first scrape; why is said there."""


def metrics(call: Call) -> Response:
    """The node in numbers, in Prometheus' text format."""
    families = [*_chain(call), *_mempool(call), *_peers(call), *_messages(call), *_rejects(call), *_requests(call)]
    return Response(200, import_module(EXPOSITION).expose(families), CONTENT)


def _chain(call: Call) -> list[Family]:
    view, counts = call.view, call.view.counts
    return [
        gauge("groat_tip_height", "Height of the best chain's last block.", view.tip.height),
        gauge("groat_tip_time_seconds", "Its time, in Unix seconds.", view.tip.header.time),
        gauge("groat_tip_work_hashes", "Hashes that the best chain stands for.", view.tip.chainwork),
        gauge("groat_headers_height", "Height of the best header known.", view.best_header.height),
        counter("groat_blocks_connected", "Blocks that entered the best chain.", counts.blocks_connected),
        counter("groat_blocks_disconnected", "Blocks that left it.", counts.blocks_disconnected),
        counter("groat_reorgs", "Times that blocks left the best chain.", counts.reorgs),
        gauge("groat_reorg_depth_max_blocks", "Most blocks that left it at once.", counts.reorg_depth_most),
    ]


def _mempool(call: Call) -> list[Family]:
    pool = call.view.pool
    return [
        gauge("groat_mempool_transactions", "Unconfirmed transactions.", pool.totals.count),
        gauge("groat_mempool_vsize_bytes", "Their virtual bytes.", pool.totals.vsize),
        gauge("groat_mempool_usage_bytes", "Memory that they take, about.", pool.usage),
        gauge("groat_mempool_fees_satoshis", "Their fees together.", pool.totals.fee),
        gauge("groat_mempool_min_fee_sat_kvb", "The fee rate that the next one has to pay.", pool.floor_sat_kvb),
    ]


def _peers(call: Call) -> list[Family]:
    peers = call.change(lambda core, now: core.peers(now))
    found = Counter(("out" if peer.outbound else "in", peer.role.value) for peer in peers)
    every = [(direction, role.value) for direction in ("in", "out") for role in Role]
    return [
        Family(
            "groat_peers",
            "Peers, by direction of the handshake and by role.",
            MetricType.GAUGE,
            ("direction", "role"),
            [(labels, found[labels]) for labels in every],
        ),
        gauge("groat_peers_choked", "Peers that would be refused old blocks now.", sum(peer.choked for peer in peers)),
    ]


def _messages(call: Call) -> list[Family]:
    messages, sizes = [], []
    for (route, ours), volume in sorted(call.runtime.traffic.exchanges().items()):
        messages.append(((route, "out" if ours else "in"), volume.messages))
        sizes += [((route, "sent"), volume.sent), ((route, "received"), volume.received)]
    totals = Counter[tuple[str, str]]()
    for labels, size in sizes:
        totals[labels] += size
    return [
        Family(
            "groat_p2p_messages",
            "Requests between peers that were answered, by route and who asked: out is us.",
            MetricType.COUNTER,
            ("route", "direction"),
            messages,
        ),
        Family(
            "groat_p2p_bytes",
            "Bytes of the bodies of these and their replies.",
            MetricType.COUNTER,
            ("route", "direction"),
            sorted(totals.items()),
        ),
    ]


def _rejects(call: Call) -> list[Family]:
    rejects, refusals = call.view.counts.rejects, call.tallies.refusals.reasons
    return [
        Family(
            "groat_rejects",
            "Transactions and blocks that broke a rule, by the rule's name.",
            MetricType.COUNTER,
            ("what", "code"),
            sorted(rejects.items()),
        ),
        Family(
            "groat_p2p_refusals",
            "Peers' requests that were refused, by the reason; malformed: no message; too_much: over a limit.",
            MetricType.COUNTER,
            ("reason",),
            [((reason,), count) for reason, count in sorted(refusals.items())],
        ),
    ]


def _requests(call: Call) -> list[Family | Histogram]:
    listeners = {"api": call.tallies.api, "p2p": call.tallies.p2p}
    answers = [
        ((name, str(status)), count)
        for name, times in listeners.items()
        for status, count in sorted(times.answers.items())
    ]
    return [
        Histogram(
            "groat_http_request_seconds",
            "From a request's last byte to its answer; what peers hold open is in it.",
            ("listener",),
            [((name,), _cumulated(times), times.sum_s) for name, times in listeners.items()],
        ),
        Family("groat_http_answers", "Answers, by status.", MetricType.COUNTER, ("listener", "status"), answers),
    ]


def _cumulated(times: RequestTimes) -> list[tuple[str, float]]:
    """Counts by upper end; each bucket holds those below it."""
    ends = [*map(str, BUCKETS_S), "+Inf"]
    return list(zip(ends, accumulate(times.buckets), strict=True))


ROUTES = (Route("GET", "/metrics", metrics, CONTENT),)
"""Routes for Prometheus."""
