"""What caches may keep: everything that a hash names for ever, and nothing that depends on the best chain."""

import pytest

from chain.hashes import to_hex
from node.api.rest.table import ROUTES
from node.api.rest.txs import BURIED_BLOCKS
from tests.chainlab import Lab, pay
from tests.node.api.conftest import MakeDesk
from tests.node.api.desk import Desk

PERMANENT = "public, immutable, max-age=31536000"
NAMED_FOR_EVER = {
    "/block/:block_hash",
    "/v1/block/:block_hash",
    "/block/:block_hash/header",
    "/block/:block_hash/raw",
    "/block/:block_hash/txids",
    "/block/:block_hash/txid/:index",
    "/v1/filters/:block_hash",
    "/v1/filters/:block_hash/raw",
}
"""Each field of these answers is fixed by the hash."""
ONCE_BURIED = {"/tx/:txid/hex", "/tx/:txid/raw"}
"""An id does not name the witnesses."""
OF_THE_BEST_CHAIN = {
    # `status`, or the place in the best chain, is all or a part of what they say.
    "/block/:block_hash/status",
    "/block/:block_hash/txs",
    "/block/:block_hash/txs/:start",
    "/tx/:txid",
    "/tx/:txid/status",
    "/tx/:txid/outspends",
    "/tx/:txid/outspend/:index",
    "/tx/:txid/merkle-proof",
    "/tx/:txid/merkleblock-proof",
}


@pytest.fixture(scope="module")
def old(shared: Desk) -> dict[str, str]:
    """Block and transaction below many others."""
    shared.make_filters()
    block_hash = shared.get("/block-height/50").text
    return {"block_hash": block_hash, "txid": shared.get(f"/block/{block_hash}/txid/0").text}


def filled(path: str, names: dict[str, str]) -> str:
    for name, content in {**names, "index": "0", "start": "0"}.items():
        path = path.replace(f":{name}", content)
    return path


def test_every_route_about_a_hash_is_decided() -> None:
    about_a_hash = {route.path for route in ROUTES if {":block_hash", ":txid"} & set(route.path.split("/"))}
    assert about_a_hash == NAMED_FOR_EVER | ONCE_BURIED | OF_THE_BEST_CHAIN


@pytest.mark.parametrize("path", sorted(NAMED_FOR_EVER | ONCE_BURIED))
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_what_a_hash_names_is_kept(shared: Desk, old: dict[str, str], path: str, prefix: str) -> None:
    place = prefix + filled(path, old)
    reply = shared.get(place)
    assert (reply.status, reply.headers["cache-control"]) == (200, PERMANENT)
    tag = reply.headers["etag"]
    assert tag.startswith('"')
    again = shared.get(place, if_none_match=tag)
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["cache-control"] == PERMANENT
    head = shared.request("HEAD", place)
    assert (head.status, head.headers["etag"], head.headers["content-type"]) == (200, tag, reply.type)
    part = shared.get(place, range="bytes=1-3")
    assert (part.status, part.body, part.type) == (206, reply.body[1:4], reply.type)


@pytest.mark.parametrize(
    "path", [*sorted(OF_THE_BEST_CHAIN), "/blocks", "/blocks/5", "/block-height/5", "/blocks/tip/hash", "/mempool"]
)
def test_what_depends_on_the_best_chain_is_not(shared: Desk, old: dict[str, str], path: str) -> None:
    reply = shared.get(filled(path, old))
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    assert "etag" not in reply.headers


@pytest.mark.parametrize("path", sorted(NAMED_FOR_EVER | ONCE_BURIED))
def test_what_is_not_here_yet_is_not_kept(shared: Desk, path: str) -> None:
    reply = shared.get(filled(path, {"block_hash": "ab" * 32, "txid": "ab" * 32}))
    assert (reply.status, reply.headers["cache-control"]) == (404, "no-store")


@pytest.mark.parametrize("ending", ["hex", "raw"])
def test_a_transaction_is_kept_once_it_is_buried(desk: Desk, lab: Lab, ending: str) -> None:
    tx = pay(lab.take())
    place = f"/tx/{to_hex(tx.txid)}/{ending}"
    desk.pool(tx)
    assert desk.get(place).headers["cache-control"] == "no-store"
    desk.give([lab.mine([tx])])
    for _ in range(BURIED_BLOCKS - 1):
        assert desk.get(place).headers["cache-control"] == "no-store"
        desk.give([lab.mine()])
    assert desk.get(place).headers["cache-control"] == PERMANENT


def test_a_stale_block_is_as_it_was(desk: Desk, lab: Lab) -> None:
    block_hash = to_hex(lab.tip.hash)
    paths = [filled(path, {"block_hash": block_hash}) for path in NAMED_FOR_EVER if "filters" not in path]
    before = {path: desk.get(path).body for path in paths}
    assert desk.get(f"/block/{block_hash}/status").json()["in_best_chain"]
    desk.rpc("invalidateblock", block_hash)
    assert not desk.get(f"/block/{block_hash}/status").json()["in_best_chain"]
    assert {path: desk.get(path).body for path in paths} == before


def test_a_cache_does_not_give_one_origin_the_answer_to_another(make_desk: MakeDesk) -> None:
    desk = make_desk(cors_origins=("https://app.example",))
    block = f"/block/{desk.get('/block-height/0').text}"
    for origin in ({}, {"origin": "https://app.example"}, {"origin": "https://other.example"}):
        reply = desk.get(block, **origin)
        assert reply.headers["vary"] == "Origin"
        assert reply.headers.get("access-control-allow-origin") in (None, "https://app.example")
