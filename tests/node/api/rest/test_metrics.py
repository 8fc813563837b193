"""GET /metrics: what a Prometheus reads there is what has happened, and what docs/api.md says there is."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from chain.errors import Rejected
from node.api.rest.metrics import CONTENT
from node.api.services.request_metrics import BUCKETS_S
from node.interface.messages import GetAddresses, Hello, Reason, Refusal
from node.p2p.scoring.service_flags import Role
from tests.chainlab import START_TIME, Lab, pay, reblock
from tests.node.api.desk import Desk
from tests.node.api.peerlab import Caller

DOCS = (Path(__file__).parents[4] / "docs" / "api.md").read_text()


def scrape(desk: Desk) -> dict[str, Metric]:
    """The families by name, as Prometheus understands them."""
    reply = desk.get("/metrics")
    assert (reply.status, reply.type) == (200, CONTENT)
    return {family.name: family for family in text_string_to_metric_families(reply.text)}


def number(families: dict[str, Metric], name: str, **labels: str) -> float:
    """The one sample of that name and those labels; 0 if there is none yet."""
    found = [
        sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) <= 1, (name, labels, found)
    return found[0] if found else 0


def wait_for(condition: Callable[[], bool], desk: Desk) -> None:
    """What threads note is added up ten times a second."""
    deadline = desk.runtime.now() + 10
    while not condition():
        assert desk.runtime.now() < deadline
        desk.runtime.pause(0.02)


def test_chain_and_mempool(desk: Desk, lab: Lab) -> None:
    tx = pay(lab.take())
    desk.pool(tx)
    families = scrape(desk)
    assert number(families, "groat_tip_height") == lab.height
    assert number(families, "groat_headers_height") == lab.height
    assert number(families, "groat_tip_time_seconds") == lab.tip.header.time
    assert number(families, "groat_tip_work_hashes") == lab.tip.chainwork
    assert number(families, "groat_blocks_connected_total") == len(lab.blocks)
    assert number(families, "groat_reorgs_total") == 0
    assert number(families, "groat_mempool_transactions") == 1
    assert number(families, "groat_mempool_vsize_bytes") == tx.vsize
    assert number(families, "groat_mempool_fees_satoshis") == 1000
    assert number(families, "groat_mempool_min_fee_sat_kvb") == 1000


def test_reorgs(desk: Desk, lab: Lab) -> None:
    before = len(lab.blocks)
    left, right = lab.copy(), lab.copy()
    left.mine_empty(2)
    right.mine([pay(right.take())])
    right.mine_empty(2)
    desk.give(left.blocks[before:])
    desk.give(right.blocks[before:])
    families = scrape(desk)
    assert number(families, "groat_tip_height") == right.height
    assert number(families, "groat_reorgs_total") == 1
    assert number(families, "groat_reorg_depth_max_blocks") == 2
    assert number(families, "groat_blocks_disconnected_total") == 2
    assert number(families, "groat_blocks_connected_total") == before + 2 + 3


def test_rejects_by_code(desk: Desk, lab: Lab) -> None:
    mint = pay(lab.take(), fee=-(10**9))
    for _ in range(2):
        with pytest.raises(Rejected):
            desk.pool(mint)
    early, greedy = reblock(lab.candidate(), time=START_TIME), lab.candidate(fees=10**9)
    for block in (early, greedy, greedy):
        with pytest.raises(Rejected):
            desk.give([block])
    families = scrape(desk)
    assert number(families, "groat_rejects_total", what="tx", code="bad-txns-in-belowout") == 2
    assert number(families, "groat_rejects_total", what="block", code="time-too-old") == 1
    assert number(families, "groat_rejects_total", what="block", code="bad-cb-amount") == 1
    assert number(families, "groat_rejects_total", what="block", code="duplicate-invalid") == 1
    assert sum(sample.value for sample in families["groat_rejects"].samples) == 5


def test_peers_messages_and_refusals(desk: Desk) -> None:
    stranger = Caller(desk)
    assert stranger.ask(GetAddresses()) == Refusal(Reason.NO_SESSION)
    full, light = Caller(desk, 8).greet(), Caller(desk, 9, Role.LIGHT.services()).greet()
    for _ in range(3):
        full.ask(GetAddresses())
    assert desk.request("POST", "/p2p/blocks", b"\x01\x0c\xff", p2p=True).status == 400
    lost = Caller(desk, 10)
    assert lost.ask(Hello(replace(lost.facts, network_id=bytes(32)), bytes(32))) == Refusal(Reason.WRONG_NETWORK)
    wait_for(lambda: number(scrape(desk), "groat_p2p_messages_total", route="hello", direction="in") == 3, desk)
    families = scrape(desk)
    assert number(families, "groat_p2p_messages_total", route="addresses", direction="in") == 3
    assert number(families, "groat_peers", direction="in", role="full") == 1
    assert number(families, "groat_peers", direction="in", role="light") == 1
    assert sum(sample.value for sample in families["groat_peers"].samples) == 2
    assert number(families, "groat_p2p_refusals_total", reason="no_session") == 1
    assert number(families, "groat_p2p_refusals_total", reason="malformed") == 1
    assert number(families, "groat_p2p_refusals_total", reason="wrong_network") == 1
    assert number(families, "groat_p2p_messages_total", route="hello", direction="out") == 0
    carried = {
        direction: sum(s.value for s in families["groat_p2p_bytes"].samples if s.labels["direction"] == direction)
        for direction in ("sent", "received")
    }
    callers = (full, light, lost)  # what a stranger said was not even read
    assert carried["sent"] == sum(caller.received for caller in callers)
    assert carried["received"] == sum(caller.sent for caller in callers)


def test_request_times(desk: Desk) -> None:
    before = scrape(desk)
    for path in ("/blocks/tip/height", "/blocks/tip/hash", "/nowhere"):
        desk.get(path)
    desk.request("GET", "/nowhere", p2p=True)
    after = scrape(desk)
    for name, labels, more in (
        ("groat_http_request_seconds_count", {"listener": "api"}, 4),  # three and the scrape before
        ("groat_http_request_seconds_count", {"listener": "p2p"}, 1),
        ("groat_http_request_seconds_bucket", {"listener": "api", "le": "+Inf"}, 4),
        ("groat_http_answers_total", {"listener": "api", "status": "404"}, 1),
        ("groat_http_answers_total", {"listener": "p2p", "status": "404"}, 1),
        ("groat_http_answers_total", {"listener": "api", "status": "200"}, 3),
    ):
        assert number(after, name, **labels) - number(before, name, **labels) == more, (name, labels)
    buckets = [
        sample.value
        for sample in after["groat_http_request_seconds"].samples
        if sample.name.endswith("_bucket") and sample.labels["listener"] == "api"
    ]
    assert len(buckets) == len(BUCKETS_S) + 1
    assert buckets == sorted(buckets)
    assert 0 < number(after, "groat_http_request_seconds_sum", listener="api") < 20


def test_the_process(desk: Desk) -> None:
    families = scrape(desk)
    assert 10e6 < number(families, "process_resident_memory_bytes") < 1e9
    assert number(families, "process_cpu_seconds_total") > 0


def test_every_metric_is_documented_with_its_type_and_labels(desk: Desk, lab: Lab) -> None:
    Caller(desk).greet()
    with pytest.raises(Rejected):
        desk.pool(pay(lab.take(), fee=-1))
    wait_for(lambda: number(scrape(desk), "groat_p2p_messages_total", route="hello", direction="in") == 1, desk)
    desk.request("POST", "/p2p/inv", b"", p2p=True)
    section = DOCS.partition("### Metrics")[2].partition("\n## ")[0]
    documented = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)), words)
        for name, kind, labels, words in re.findall(
            r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| (.*) \|$", section, re.MULTILINE
        )
    }
    told = {}
    for family in scrape(desk).values():
        if family.name.startswith("groat_"):
            labels = set().union(*(sample.labels for sample in family.samples)) - {"le"}
            name = f"{family.name}_total" if family.type == "counter" else family.name
            told[name] = (family.type, labels, family.documentation)
    assert told == documented


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_but_reading(shared: Desk, method: str) -> None:
    assert shared.request(method, "/metrics").status == 404


def test_head_has_no_body(shared: Desk) -> None:
    reply = shared.request("HEAD", "/metrics")
    assert (reply.status, reply.type, reply.body) == (200, CONTENT, b"")


def test_peers_cannot_read_it(shared: Desk) -> None:
    for path in ("/metrics", "/api/metrics", "/v1/peers", "/api/v1/peers"):
        assert shared.request("GET", path, p2p=True).status == 404


def test_two_scrapes_tell_the_same_names(shared: Desk) -> None:
    assert scrape(shared).keys() == scrape(shared).keys()


def test_a_node_that_starts_says_come_again(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(admit=False)
    assert [desk.get(path).status for path in ("/metrics", "/v1/peers")] == [503, 503]


def test_a_node_that_nobody_watches_does_without_the_library() -> None:
    """The import takes 15 ms and 2 MB."""
    program = "import sys, node.daemon; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
