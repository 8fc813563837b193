"""Light nodes and trackers: no question about the chain is answered as by an empty one."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from chain.hashes import sha256
from node.api.chainless import CHAINLESS_METHODS, CHAINLESS_STATUS
from node.api.rest.table import CHAIN_ROUTES
from node.api.rpc.table import METHODS
from node.p2p.discovery.config import DiscoveryConfig, DiscoveryMethod
from node.p2p.scoring.service_flags import Role
from tests.chainlab import lock
from tests.node.api.desk import Desk
from wallet.client import Esplora
from wallet.errors import NodeError

LIGHT = {"role": Role.LIGHT}
TRACKER = {"finding": DiscoveryConfig(frozenset({DiscoveryMethod.TRACKER}))}
MakeDesk = Callable[..., Desk]


@pytest.mark.parametrize(("settings", "reason"), [(LIGHT, "a light one"), (TRACKER, "a tracker")])
def test_no_route_about_the_chain_is_answered(make_desk: MakeDesk, settings: dict[str, Any], reason: str) -> None:
    desk = make_desk(**settings)
    for route in CHAIN_ROUTES:
        path = re.sub(r":\w+", "0" * 64, route.path)
        for prefix in ("", "/api"):
            reply = desk.request(route.method, prefix + path, b"00" if route.method == "POST" else None)
            assert reply.status == CHAINLESS_STATUS, route.path
            assert reason in reply.text
    for page in ("/explorer/", "/explorer/mempool", "/explorer/block/1", "/explorer/forks"):
        assert desk.get(page).status == CHAINLESS_STATUS
    for path in ("/v1/network", "/v1/peers", "/metrics", "/explorer/peers"):
        assert desk.get(path).status == 200, path


@pytest.mark.parametrize(("settings", "reason"), [(LIGHT, "a light one"), (TRACKER, "a tracker")])
def test_no_method_about_the_chain_is_answered(make_desk: MakeDesk, settings: dict[str, Any], reason: str) -> None:
    desk = make_desk(**settings)
    assert {method.name for method in METHODS} > CHAINLESS_METHODS
    for method in METHODS:
        if method.name not in CHAINLESS_METHODS:
            reply = desk.post_rpc(json.dumps({"method": method.name, "params": [], "id": 1})).json()
            assert reply["error"]["code"] == -1, method.name
            assert reason in reply["error"]["message"]
    assert reason in desk.rpc("getblockchaininfo")["warnings"][0]
    assert desk.rpc("getpeerinfo") == []


def test_a_wallet_shows_the_reason_not_an_empty_balance(make_desk: MakeDesk) -> None:
    desk = make_desk(**LIGHT)
    with Esplora([f"http://127.0.0.1:{desk.port}"]) as node:
        for ask in (node.tip_height, node.tip, lambda: node.script_txs(sha256(lock()))):
            with pytest.raises(NodeError, match="has headers and no blocks: ask a full node"):
                ask()


def test_a_pruned_node_and_a_relay_answer(make_desk: MakeDesk) -> None:
    for role in (Role.FULL, Role.PRUNED, Role.RELAY):
        assert make_desk(role=role).get("/blocks/tip/height").text == "0"
