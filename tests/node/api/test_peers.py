"""What operators are told of peers: GET /v1/peers and getpeerinfo say the same, and it is so."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chain.params import GENESIS
from node.api.actions.peer_json import SERVICE_NAMES
from node.api.rest.table import ROUTES
from node.interface.effects import Step
from node.interface.messages import VISITOR, GetHeaders, Inv, Txs, Want
from node.p2p.scoring.peer_score import PeerEvent
from node.p2p.scoring.service_flags import Role
from node.p2p.wire.short_txid import names_at
from tests.chainlab import Lab, pay
from tests.node.api.desk import Desk
from tests.node.api.peerlab import Caller

DOCS = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def peers(desk: Desk) -> list[dict[str, Any]]:
    reply = desk.get("/api/v1/peers")
    assert (reply.status, reply.type) == (200, "application/json")
    assert [peer["id"] for peer in desk.get("/v1/peers").json()] == [peer["id"] for peer in reply.json()]
    return reply.json()


def wait_for(condition: Callable[[], bool], desk: Desk) -> None:
    deadline = desk.runtime.now() + 10
    while not condition():
        assert desk.runtime.now() < deadline
        desk.runtime.pause(0.02)


def test_everything_about_a_peer(desk: Desk, lab: Lab) -> None:
    assert peers(desk) == []
    caller = Caller(desk, services=Role.PRUNED.services(mines=True)).greet()
    began = desk.runtime.unix()
    caller.ask(GetHeaders((GENESIS.hash,)))
    tx = pay(lab.take())
    names = names_at(caller.salt, (tx.wtxid,))
    assert caller.ask(Inv(names)) == Want(names)
    caller.ask(Txs((tx,)))
    wait_for(lambda: peers(desk)[0]["first_transactions"] == 1, desk)
    wait_for(lambda: peers(desk)[0]["bytes_received"] >= caller.sent - 400, desk)
    [peer] = peers(desk)
    assert peer["id"] == caller.identity.id.hex()
    assert peer["number"] == 1
    assert (peer["endpoint"], peer["address"]) == (None, "127.0.0.1")
    assert (peer["direction"], peer["connection_type"], peer["discovered_by"]) == ("in", "inbound", "itself")
    assert (peer["role"], peer["services"]) == ("pruned", ["NETWORK_LIMITED", "RELAY", "HEADERS", "MINER"])
    assert (peer["agent"], peer["version"]) == ("test", 1)
    assert (peer["round_trip_ms"], peer["least_round_trip_ms"], peer["clock_ahead_s"]) == (None, None, None)
    assert peer["score"] > 0
    assert peer["grade"] == "tolerate"
    assert {"reason": "delivered valid transactions first", "points": 0.05} in peer["why"]
    assert round(sum(part["points"] for part in peer["why"]), 2) == peer["score"]
    assert peer["choked"] is False
    assert 0 < peer["bytes_received"] <= caller.sent
    assert len(lab.blocks) * 80 < peer["bytes_sent"] <= caller.received
    assert (peer["first_blocks"], peer["last_block"]) == (0, None)
    assert began - 10 < peer["since"] <= peer["heard"] <= desk.runtime.unix()
    assert peer["last_transaction"] >= peer["since"]
    assert peer["starting_height"] == 0
    assert peer["in_flight"] == []


def test_core_s_words_say_the_same(desk: Desk) -> None:
    Caller(desk).greet()
    Caller(desk, 9, Role.LIGHT.services()).greet()
    for ours, cores in zip(peers(desk), desk.rpc("getpeerinfo"), strict=True):
        assert (cores["id"], cores["nodeid"]) == (ours["number"], ours["id"])
        assert cores["inbound"] == (ours["direction"] == "in")
        assert cores["servicesnames"] == ours["services"]
        assert cores["conntime"] == ours["since"]
        for name in ("synced_headers", "synced_blocks"):
            assert cores[name] == ours[name]
        for name in ("role", "score", "grade", "why", "choked", "first_blocks", "first_transactions", "discovered_by"):
            assert cores[name] == ours[name]
        assert cores["inflight"] == ours["in_flight"]
    assert [peer["connection_type"] for peer in peers(desk)] == ["inbound", "inbound"]


def test_who_only_visits_is_no_peer(desk: Desk) -> None:
    Caller(desk, services=VISITOR).greet()
    assert peers(desk) == desk.rpc("getpeerinfo") == []


def test_bad_deeds_show_in_score_and_why(desk: Desk) -> None:
    caller = Caller(desk).greet()
    desk.runtime.call(
        lambda node, now: Step(node._peers.scoring.note(caller.identity.id, PeerEvent.BROKEN_PROMISE, now, 25))
    )
    [peer] = peers(desk)
    assert (peer["grade"], peer["why"][0]["reason"]) == ("choke", "announced and did not deliver")
    assert -26 < peer["score"] < -24
    assert desk.rpc("getpeerinfo")[0]["score"] == peer["score"]


def test_every_field_is_documented(desk: Desk) -> None:
    Caller(desk).greet()
    section = DOCS.partition("### Peers")[2].partition("\n### ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(peers(desk)[0])
    [line] = [line for line in section.splitlines() if line.startswith("| `services`")]
    assert re.findall(r"`([A-Z_]+)`", line) == [name for _, name in SERVICE_NAMES]


def test_what_this_node_says_of_itself(desk: Desk) -> None:
    info = desk.rpc("getnetworkinfo")
    assert (info["localservices"], info["localservicesnames"]) == ("0000000000000001", ["NETWORK"])
    assert (info["localrelay"], info["warnings"]) == (True, [])


def test_the_routes_are_there() -> None:
    assert {"/v1/peers", "/metrics"} <= {route.path for route in ROUTES}
