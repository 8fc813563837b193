"""Routes and JSON-RPC about block filters on a real node over HTTP."""

import pytest

from chain.hashes import to_hex
from chain.params import GENESIS
from node.blockfilter.gcs import NO_HEADER, basic_filter, filter_header
from tests.chainlab import Lab
from tests.node.api.conftest import MakeDesk
from tests.node.api.desk import Desk

NOWHERE = "ab" * 32


def test_a_filter_in_all_its_forms(desk: Desk, lab: Lab) -> None:
    desk.make_filters()
    made = basic_filter(GENESIS, ())
    shown = {"filter": made.hex(), "header": to_hex(filter_header(made, NO_HEADER))}
    for prefix in ("", "/api"):
        path = f"{prefix}/v1/filters/{to_hex(GENESIS.hash)}"
        assert (desk.get(path).type, desk.get(path).json()) == ("application/json", shown)
        assert (desk.get(f"{path}/raw").type, desk.get(f"{path}/raw").body) == ("application/octet-stream", made)
    assert desk.rpc("getblockfilter", to_hex(GENESIS.hash)) == shown
    assert desk.rpc("getblockfilter", blockhash=to_hex(GENESIS.hash), filtertype="basic") == shown


def test_lists_of_filter_headers(desk: Desk, lab: Lab) -> None:
    desk.make_filters()
    listed = desk.get("/v1/filters/headers/0").json()
    assert len(listed) == lab.height + 1
    assert listed[-1] == desk.rpc("getblockfilter", to_hex(lab.tip.hash))["header"]
    assert desk.get(f"/v1/filters/headers/{lab.height - 3}").json() == listed[-4:]
    past = desk.get(f"/v1/filters/headers/{lab.height + 1}")
    assert (past.status, past.text) == (404, "Block not found")


def test_no_more_than_two_thousand(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.make_filters()
    monkeypatch.setattr("node.api.rest.filters.HEADERS_LISTED", 20)
    assert len(desk.get("/v1/filters/headers/5").json()) == 20


def test_bad_questions(desk: Desk) -> None:
    desk.make_filters()
    for path, status, line in (
        (f"/v1/filters/{NOWHERE}", 404, "Block not found"),
        (f"/v1/filters/{NOWHERE}/raw", 404, "Block not found"),
        ("/v1/filters/xyz", 400, "Invalid hex string"),
        ("/v1/filters/headers/x", 400, "Invalid number"),
        ("/v1/filters/headers/-1", 400, "Invalid number"),
    ):
        reply = desk.get(path)
        assert (reply.status, reply.text) == (status, line)
    assert desk.rpc_error("getblockfilter", NOWHERE) == (-5, "Block not found")
    assert desk.rpc_error("getblockfilter", "xyz")[0] == -8
    assert desk.rpc_error("getblockfilter", to_hex(GENESIS.hash), "extended") == (-5, "Unknown filtertype")


def test_what_will_come_says_when_to_come_again(desk: Desk, lab: Lab) -> None:
    """112 blocks, and nobody has made a filter yet."""
    for path in (f"/v1/filters/{to_hex(lab.tip.hash)}", "/v1/filters/headers/0"):
        reply = desk.get(path)
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert reply.text == "the filters of blocks are still being made"
    behind = "Filter not found. Block filters are still in the process of being indexed."
    assert desk.rpc_error("getblockfilter", to_hex(lab.tip.hash)) == (-1, behind)
    desk.make_filters()
    assert desk.get("/v1/filters/headers/0").status == 200


def test_getindexinfo(desk: Desk, lab: Lab) -> None:
    name, txindex = "basic block filter index", {"synced": True, "best_block_height": lab.height}
    behind = {"synced": False, "best_block_height": 0}
    assert desk.rpc("getindexinfo") == {"txindex": txindex, name: behind}
    desk.make_filters()
    assert desk.rpc("getindexinfo", name) == {name: txindex}
    desk.give([lab.mine()])
    assert desk.rpc("getindexinfo", name) == {name: {"synced": False, "best_block_height": lab.height - 1}}


def test_what_will_never_come_says_so(desk: Desk, lab: Lab) -> None:
    desk.make_filters()
    other = lab.copy()
    desk.give([lab.mine()])
    stale = other.mine(extra_nonce=5)
    desk.give([stale])
    reply = desk.get(f"/v1/filters/{to_hex(stale.hash)}")
    assert reply.status == 404
    assert reply.text == "Filter not found: the block was not in the best chain when filters were made"
    never = "Filter not found. Block was not connected to active chain."
    assert desk.rpc_error("getblockfilter", to_hex(stale.hash)) == (-5, never)
    assert desk.filters
    desk.filters.give_up("the disk is full")
    reply = desk.get(f"/v1/filters/{to_hex(lab.tip.hash)}")
    assert (reply.status, reply.text) == (500, "the disk is full")
    assert desk.rpc_error("getblockfilter", to_hex(lab.tip.hash)) == (-1, "Filter not found. the disk is full")


def test_without_indexes(make_desk: MakeDesk) -> None:
    desk = make_desk(index=False)
    for path in (f"/v1/filters/{to_hex(GENESIS.hash)}", "/v1/filters/headers/0"):
        reply = desk.get(path)
        assert (reply.status, reply.text) == (400, "this node runs with --no-index: it cannot answer this")
    refused = "Index is not enabled for filtertype basic"
    assert desk.rpc_error("getblockfilter", to_hex(GENESIS.hash)) == (-1, refused)
