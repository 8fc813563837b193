"""The gateway itself: what it passes on, what it alters, what it remembers."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.cluster import Cluster
from tests.gateway import rules
from tests.gateway.commands import Commands
from tests.gateway.proxy import CUT, Gateway, ask
from tests.gateway.purse import Purse

MATURE = 101
BURN = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


@pytest.fixture(scope="module")
def gateway(pair: Cluster) -> Iterator[Gateway]:
    with Gateway(pair.nodes[0].api) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def _fresh(gateway: Gateway) -> None:
    gateway.rules = []
    gateway.payments.clear()


def bytes_from(gateway: Gateway, path: str, most: int = 1 << 20) -> bytes:
    """What comes on a connection until it is closed, or `most` of it."""
    host, port = gateway.address.split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        content = b""
        while len(content) < most and (piece := connection.recv(65_536)):
            content += piece
        return content


def test_what_no_rule_is_for_passes_through(pair: Cluster, gateway: Gateway) -> None:
    for path in ("/api/blocks/tip/hash", "/api/blocks/tip/height", "/api/fee-estimates", "/api/block-height/77777"):
        assert ask(gateway.address, "GET", path) == ask(pair.nodes[0].api, "GET", path)
    assert gateway.requests[-1] == "GET /block-height/77777"


def test_rules_are_asked_in_turn_and_so_often_as_they_say(gateway: Gateway) -> None:
    gateway.rules = [
        rules.first(2, rules.on("/blocks/tip/hash", rules.say(503))),
        rules.after(1, rules.on("/blocks/tip/height", rules.say(200, "7"))),
    ]
    told = [ask(gateway.address, "GET", "/api/blocks/tip/hash").status for _ in range(3)]
    assert told == [503, 503, 200]
    assert [ask(gateway.address, "GET", "/api/blocks/tip/height").body for _ in range(3)] == [b"0", b"7", b"7"]


def test_documents_are_altered_and_earlier_ones_come_again(pair: Cluster, gateway: Gateway) -> None:
    memory = rules.Memory()
    gateway.rules = [memory]
    before = ask(gateway.address, "GET", "/api/blocks/tip/height").body
    pair.rpc(0, "generatetoaddress", 1, BURN)
    memory.replays = True
    assert ask(gateway.address, "GET", "/api/blocks/tip/height").body == before
    gateway.rules = [rules.on("/address/", rules.altered(rules.each_tx(lambda tx: tx.update(fee=tx["fee"] + 1))))]
    path = f"/api/address/{BURN}/txs"
    true, told = (json.loads(ask(where, "GET", path).body) for where in (pair.nodes[0].api, gateway.address))
    assert [tx["fee"] + 1 for tx in true] == [tx["fee"] for tx in told]
    assert true


def test_bytes_that_are_hardly_http(gateway: Gateway) -> None:
    path = "/api/blocks/tip/hash"
    for rule, begins in (
        (rules.endless(), b"HTTP/1.1 200 OK\r\n\r\n[xxx"),
        (rules.endless_head, b"HTTP/1.1 200 OK\r\nX-0: yyy"),
        (rules.endless_chunks, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\nxxx"),
        (rules.flood(lambda: [b"y" * 999], 60_000_000), b"HTTP/1.1 200 OK\r\nContent-Length: 60000000\r\n\r\nyyy"),
        (rules.raw(b"nonsense"), b"nonsense"),
        (rules.drip(b"[]", 0.001), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"),
        (lambda _: CUT, b""),
    ):
        gateway.rules = [rule]
        assert bytes_from(gateway, path).startswith(begins)


def test_a_node_that_is_gone_is_no_answer(gateway: Gateway, pair: Cluster) -> None:
    gateway.node = "127.0.0.1:1"
    try:
        assert bytes_from(gateway, "/api/blocks/tip/hash") == b""
    finally:
        gateway.node = pair.nodes[0].api


def test_it_ends_though_somebody_waits_for_an_endless_answer(pair: Cluster) -> None:
    with Gateway(pair.nodes[0].api, [rules.silence]) as gateway:
        host, port = gateway.address.split(":")
        connection = socket.create_connection((host, int(port)), 10)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        pair.wait_for(lambda: gateway.requests, "the request to arrive")
        began = time.monotonic()
    with connection:
        assert connection.recv(1) == b""
    assert time.monotonic() - began < 5


def test_payments_through_it_are_remembered(
    pair: Cluster, gateway: Gateway, commands: Commands, tmp_path: Path
) -> None:
    purse = Purse(commands, tmp_path / "wallet.json", gateway.url).create()
    pair.rpc(0, "generatetoaddress", MATURE, purse.address())
    sent = purse.get("send", BURN, "0.5", "--yes")
    [payment] = gateway.payments
    assert (payment.txid, payment.forwarded, payment.node_status, payment.told_status) == (sent["txid"], True, 200, 200)
    assert pair.rpc(0, "getrawmempool") == [sent["txid"]]
    assert purse.txids() > {sent["txid"]}


def test_a_payment_whose_answer_is_lost_is_asked_for(
    pair: Cluster, gateway: Gateway, commands: Commands, tmp_path: Path
) -> None:
    purse = Purse(commands, tmp_path / "wallet.json", gateway.url).create()
    pair.rpc(0, "generatetoaddress", MATURE, purse.address())
    gateway.rules = [rules.on_payment(rules.lose_answer)]
    sent = purse.get("send", BURN, "0.5", "--yes")
    assert pair.rpc(0, "getrawmempool") == [sent["txid"]]


def test_a_payment_that_nothing_is_known_of_may_have_been_sent(
    pair: Cluster, gateway: Gateway, commands: Commands, tmp_path: Path
) -> None:
    purse = Purse(commands, tmp_path / "wallet.json", gateway.url).create()
    pair.rpc(0, "generatetoaddress", MATURE, purse.address())
    gateway.rules = [rules.on_payment(rules.lose_answer), rules.on(r"/tx/[0-9a-f]{64}$", rules.lose_request)]
    outcome = purse.run("send", BURN, "0.5", "--yes")
    [txid] = {payment.txid for payment in gateway.payments}
    assert (outcome.code, outcome.out) == (1, "")
    assert len(outcome.lines) == 1
    assert f"payment {txid} may have been sent: do not repeat it" in outcome.err
    assert txid in pair.rpc(0, "getrawmempool")
    gateway.rules = []
    assert txid in purse.txids()


def test_commands_are_measured_and_ended_in_time(commands: Commands, gateway: Gateway, tmp_path: Path) -> None:
    purse = Purse(commands, tmp_path / "wallet.json", gateway.url).create()
    usual = purse.run("balance")
    assert (usual.code, usual.late) == (0, False)
    assert 10 << 20 < usual.memory_bytes < 400 << 20
    assert 0 < usual.cpu_s <= usual.wall_s
    gateway.rules = [rules.silence]
    stuck = purse.run("balance", deadline_s=0.5)
    assert (stuck.code, stuck.late) == (-9, True)
    gateway.rules = [rules.say(200, "x")]
    failed = purse.run("balance")
    assert (failed.code, failed.out, len(failed.lines)) == (1, "", 1)
