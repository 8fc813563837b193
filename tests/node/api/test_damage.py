"""Blocks that were stored and cannot be read: every interface says so, and none that there is no such thing."""

import json
from collections.abc import Callable, Iterator

import pytest

from chain.block import Block
from chain.hashes import sha256, to_hex
from chain.tx import TxOut
from node.api.query.queries import BlockMeasures
from node.interface.messages import GetBlocks
from node.interface.storage import Damaged
from node.p2p.wire.codec import encode
from node.runtime.runtime import DAMAGED, STARTING
from node.storage.memory import MemoryKv
from node.storage.schema import BODY, HEADER, LOCATION, UNDO, block_key
from tests.chainlab import Lab, funded, lock, pay
from tests.node.api.desk import Desk, Reply

SCRIPT = sha256(lock(number=7)).hex()
"""What the payment pays, as paths name it."""


class Harmed:
    """A desk of which a best-chain block has a payment, and whose storage may be changed under it."""

    def __init__(self, desk: Desk, lab: Lab) -> None:
        [coin] = lab.take()
        self.tx = pay([coin], [TxOut(10_000, lock(number=7)), TxOut(coin.coin.value - 11_000, lock(number=6))])
        self.block: Block = lab.mine([self.tx])
        self.height = lab.height
        desk.give([*lab.blocks, lab.mine()])
        self.desk, self.lab = desk, lab
        blocks, ledger = desk.store._blocks_kv, desk.store._ledger_kv
        assert isinstance(blocks, MemoryKv)
        assert isinstance(ledger, MemoryKv)
        self.blocks, self.ledger = blocks, ledger

    def key(self, prefix: bytes) -> bytes:
        return block_key(prefix, self.height, self.block.hash)


def lose_body(harmed: Harmed) -> None:
    harmed.blocks.write([(harmed.key(BODY), None)], sync=True)


def lose_body_and_header(harmed: Harmed) -> None:
    harmed.blocks.write([(harmed.key(BODY), None), (harmed.key(HEADER), None)], sync=True)


def change_body(harmed: Harmed) -> None:
    harmed.blocks.write([(harmed.key(BODY), bytes(len(harmed.block.raw)))], sync=True)


def lose_undo(harmed: Harmed) -> None:
    harmed.blocks.write([(harmed.key(UNDO), None)], sync=True)


def change_undo(harmed: Harmed) -> None:
    record = harmed.blocks.rows[harmed.key(UNDO)]
    harmed.blocks.write([(harmed.key(UNDO), record[:-1] + bytes((record[-1] ^ 1,)))], sync=True)


def lose_place(harmed: Harmed) -> None:
    harmed.ledger.write([(LOCATION + harmed.tx.txid, None)], sync=True)


BODIES = (lose_body, lose_body_and_header, change_body)
UNDOS = (lose_undo, change_undo)


@pytest.fixture(scope="module")
def shared_harmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harmed]:
    desk = Desk(tmp_path_factory.mktemp("harmed") / "desk")
    yield Harmed(desk, funded())
    desk.close()


@pytest.fixture
def harmed(shared_harmed: Harmed) -> Iterator[Harmed]:
    """Whole at first, and again afterwards: to stop is all that the desk is kept from."""
    blocks, ledger = dict(shared_harmed.blocks.rows), dict(shared_harmed.ledger.rows)
    yield shared_harmed
    for kv, rows in ((shared_harmed.blocks, blocks), (shared_harmed.ledger, ledger)):
        kv.write([(key, None) for key in kv.rows.keys() - rows.keys()], sync=True)
        kv.write([(key, row) for key, row in rows.items() if kv.rows.get(key) != row], sync=True)
    shared_harmed.desk.runtime.fault, shared_harmed.desk.runtime.refusal = None, STARTING


def questions(harmed: Harmed) -> list[tuple[str, bool, Callable[[], Reply]]]:
    """What is asked: its name, whether the answer needs undo as well, and the asking."""
    desk, name, txid = harmed.desk, to_hex(harmed.block.hash), to_hex(harmed.tx.txid)
    paths = [
        (f"/block/{name}/raw", False),
        (f"/block/{name}/txids", False),
        (f"/block/{name}/txid/1", False),
        (f"/block/{name}", False),
        ("/blocks", False),
        (f"/block/{name}/txs", True),
        (f"/tx/{txid}", True),
        (f"/tx/{txid}/hex", True),
        (f"/tx/{txid}/raw", True),
        (f"/tx/{txid}/outspends", True),
        (f"/tx/{txid}/merkle-proof", False),
        (f"/tx/{txid}/merkleblock-proof", False),
        (f"/scripthash/{SCRIPT}/txs", True),
        (f"/scripthash/{SCRIPT}/txs/chain", True),
        (f"/explorer/block/{name}", True),
        (f"/explorer/tx/{txid}", True),
        ("/explorer/", True),
    ]
    calls = [
        ("getblock", (name, 0), False),
        ("getblock", (name, 1), False),
        ("getblock", (name, 3), True),
        ("getblockstats", (name,), True),
        ("getrawtransaction", (txid, 2), True),
        ("getrawtransaction", (txid, 2, name), True),
        ("gettxoutproof", ([txid],), False),
        ("gettxoutproof", ([txid], name), False),
        ("getblockheader", (name,), False),
        ("getchaintxstats", (10,), False),
    ]
    asked: list[tuple[str, bool, Callable[[], Reply]]] = []
    for path, undo in paths:
        asked.append((path, undo, lambda path=path: desk.get(path)))  # type: ignore[misc]
    for method, params, undo in calls:
        body = json.dumps({"method": method, "params": params, "id": 1})
        asked.append((f"{method} {params}", undo, lambda body=body: desk.post_rpc(body)))  # type: ignore[misc]
    message = encode(GetBlocks((harmed.block.hash,)))
    asked.append(("blocks", False, lambda: desk.request("POST", "/p2p/blocks", message, p2p=True)))
    asked.append(("p2p block", False, lambda: desk.request("GET", f"/p2p/block/{name}", p2p=True)))
    return asked


def is_damage(reply: Reply) -> bool:
    if reply.type == "application/json":
        return bool(reply.json()["error"] == {"code": -20, "message": DAMAGED[0].upper() + DAMAGED[1:]})
    return (reply.status, reply.text) == (500, DAMAGED)


@pytest.mark.parametrize("harm", [*BODIES, *UNDOS])
def test_no_interface_takes_damage_for_absence(harmed: Harmed, harm: Callable[[Harmed], None]) -> None:
    desk = harmed.desk
    whole = {name: ask() for name, _, ask in questions(harmed)}
    assert {reply.status for reply in whole.values()} == {200}
    harm(harmed)
    for name, needs_undo, ask in questions(harmed):
        desk.runtime.fault, desk.runtime.refusal = None, STARTING
        desk.app._measures = BlockMeasures()  # what was measured before is not asked again
        reply = ask()
        if harm in BODIES or needs_undo:
            assert is_damage(reply), f"{name}: {reply.status} {reply.body[:200]!r}"
            assert desk.runtime.fault is not None
            assert is_damage(desk.get("/blocks/tip/height")), "then nothing is answered any more"
        else:
            assert reply.body == whole[name].body


def test_filters_are_not_to_blame_for_a_damaged_block(harmed: Harmed) -> None:
    lose_undo(harmed)
    assert harmed.desk.filters
    with pytest.raises(Damaged, match=r"the undo of block .* is lost"):
        harmed.desk.make_filters()
    assert harmed.desk.filters.fault is None


def test_a_history_never_leaves_out_what_the_index_does_not_find(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    harmed = Harmed(desk, funded())
    lose_place(harmed)
    desk.give([harmed.lab.mine()])  # a view of the ledger as it is now
    assert is_damage(desk.get(f"/scripthash/{SCRIPT}/txs"))
    assert "is not in the index" in str(desk.runtime.fault)


def test_reading_a_coin_set_that_lacks_coins_is_damage(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    harmed = Harmed(desk, funded())
    key = next(key for key in harmed.ledger.rows if key[:33] == b"c" + harmed.tx.txid)
    harmed.ledger.write([(key, None)], sync=True)
    desk.give([harmed.lab.mine()])
    assert is_damage(desk.get(f"/scripthash/{SCRIPT}/utxo"))
    assert "some are missing" in str(desk.runtime.fault)
