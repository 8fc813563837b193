"""JSON-RPC that makes blocks, on a real node."""

import json
from decimal import Decimal
from typing import Any

import pytest

from chain.address import MAIN_ADDRESSES, encode_address
from chain.hashes import to_hex
from chain.params import Params, devnet_params
from chain.tx import COIN
from node.api.encoding.disassembler import descriptor
from node.mining.miner_pool import MinerPool
from node.runtime.runtime import monotonic
from tests.chainlab import FEE, Lab, lock, pay, with_input
from tests.node.api.conftest import MakeDesk
from tests.node.api.desk import Desk

NOWHERE = "ab" * 32
ADDRESS = encode_address(lock())
RANGED_KEY = (
    "tpubD6NzVbkrYhZ4WaWSyoBvQwbpLkojyoTZPRsgXELWz3Popb3qkjcJyJUGLnL4qHHoQvao8ESaAstxYSnhyswJ76uZPStJRJCTKvosUCJZL5B"
)
FOREIGN = encode_address(lock(), MAIN_ADDRESSES)


def exact(desk: Desk, method: str, *params: Any) -> Any:
    """The result with amounts as they are printed."""
    body = desk.post_rpc(json.dumps({"method": method, "params": params})).text
    return json.loads(body, parse_float=Decimal)["result"]


def test_generatetoaddress(make_desk: MakeDesk) -> None:
    desk = make_desk()
    hashes = desk.rpc("generatetoaddress", 3, ADDRESS)
    assert [desk.rpc("getblockhash", height) for height in (1, 2, 3)] == hashes
    assert desk.get(f"/address/{ADDRESS}").json()["chain_stats"]["funded_txo_sum"] == 150 * COIN
    assert desk.rpc("generatetoaddress", 0, ADDRESS) == []
    assert desk.rpc("generatetoaddress", 1, ADDRESS, 0) == []
    assert desk.rpc("getblockcount") == 3
    assert len(desk.rpc("generatetoaddress", nblocks=2, address=ADDRESS, maxtries=10_000)) == 2
    assert len(desk.rpc("generatetoaddress", 100, ADDRESS, 40)) < 100  # about two tries a block
    for wrong in ("x", FOREIGN, ""):
        assert desk.rpc_error("generatetoaddress", 1, wrong) == (-5, "Error: Invalid address")
    for wrong in (-1, 2**31):
        assert desk.rpc_error("generatetoaddress", wrong, ADDRESS)[0] == -1


def test_generatetodescriptor(make_desk: MakeDesk) -> None:
    desk = make_desk()
    script = lock(number=3)
    for count, output in ((1, f"raw({script.hex()})"), (2, descriptor(script)), (0, f"addr({ADDRESS})")):
        assert len(desk.rpc("generatetodescriptor", count, output)) == count
    assert len(desk.rpc("generatetodescriptor", num_blocks=1, descriptor=f"addr({ADDRESS})", maxtries=1000)) == 1
    paid = [
        desk.rpc("getblock", desk.rpc("getblockhash", height), 2)["tx"][0]["vout"][0]["scriptPubKey"]["hex"]
        for height in (1, 2, 3, 4)
    ]
    assert paid == [script.hex()] * 3 + [lock().hex()]
    for wrong in (ADDRESS, "x", "raw(zz)", ""):
        assert desk.rpc_error("generatetodescriptor", 1, wrong)[0] == -5
    ranged = f"wpkh({RANGED_KEY}/*)"
    assert desk.rpc_error("generatetodescriptor", 1, ranged)[0] == -8
    assert desk.rpc("getblockcount") == 4


def test_generatetoaddress_takes_the_mempool_along(desk: Desk, lab: Lab) -> None:
    tx = pay(lab.take())
    desk.pool(tx)
    [block_hash] = desk.rpc("generatetoaddress", 1, ADDRESS)
    assert desk.rpc("getblock", block_hash)["tx"][1:] == [to_hex(tx.txid)]
    assert desk.rpc("getrawmempool") == []
    coinbase = exact(desk, "getblock", block_hash, 2)["tx"][0]
    assert sum(out["value"] for out in coinbase["vout"]) == Decimal(50 * COIN + FEE) / COIN


def difficult() -> Params:
    """A network with difficulty that costs some thousand hashes a block."""
    return devnet_params(spacing_s=1)


def test_real_work_goes_to_the_miner_processes(make_desk: MakeDesk) -> None:
    solver = MinerPool(1, 100, monotonic)
    try:
        desk = make_desk(params=difficult(), solver=solver)
        assert len(desk.rpc("generatetoaddress", 2, ADDRESS)) == 2
        assert solver.pids
        assert len(desk.rpc("generatetoaddress", 1, ADDRESS, 2_000_000)) == 1  # counted tries are made here
        assert desk.rpc("generateblock", ADDRESS, [])["hash"] == desk.rpc("getbestblockhash")
    finally:
        solver.stop()


def test_without_miner_processes_there_is_no_real_work(make_desk: MakeDesk) -> None:
    desk = make_desk(params=difficult())
    assert desk.rpc("generatetoaddress", 2, ADDRESS) == []
    assert desk.rpc_error("generateblock", ADDRESS, [])[0] == -1


@pytest.mark.parametrize("method", ["getblockchaininfo", "getmininginfo"])
def test_a_devnet_has_a_chain_that_cores_clients_know(make_desk: MakeDesk, method: str) -> None:
    """They choose rules and addresses by it, from a fixed set of names."""
    info = make_desk(params=difficult()).rpc(method)
    assert (info["chain"], info["network"]) == ("regtest", "devnet")


def test_generateblock(desk: Desk, lab: Lab) -> None:
    waiting, other = pay(lab.take()), pay(lab.take())
    desk.pool(waiting)
    script = lock(number=3)
    made = desk.rpc("generateblock", ADDRESS, [to_hex(waiting.txid), other.raw.hex()], False)
    assert desk.rpc("getblockcount") == 112
    assert desk.rpc("submitblock", made["hex"]) is None
    assert desk.rpc("getbestblockhash") == made["hash"]
    assert desk.rpc("getblock", made["hash"])["tx"][1:] == [to_hex(waiting.txid), to_hex(other.txid)]
    for output in (ADDRESS, f"addr({ADDRESS})", descriptor(script), f"raw({script.hex()})"):
        block = desk.rpc("generateblock", output, [])
        assert len(desk.rpc("getblock", block["hash"])["tx"]) == 1
    for wrong in ("x", f"addr({ADDRESS})#aaaaaaaa", "raw(zz)", "wpkh(x)", f"addr({FOREIGN})", "#", "raw(é)#x"):
        assert desk.rpc_error("generateblock", wrong, []) == (-5, "Error: Invalid address or descriptor")
    assert desk.rpc_error("generateblock", ADDRESS, [NOWHERE]) == (-5, f"Transaction {NOWHERE} not in mempool.")
    assert desk.rpc_error("generateblock", ADDRESS, ["00"])[0] == -22
    code, message = desk.rpc_error("generateblock", ADDRESS, [other.raw.hex()])
    assert (code, message.partition(",")[0]) == (-25, "TestBlockValidity failed: bad-txns-inputs-missingorspent")
    genuine = pay(lab.take())
    signature, key = genuine.inputs[0].witness
    forged = with_input(genuine, witness=(signature[:-2] + bytes((signature[-2] ^ 1,)) + signature[-1:], key))
    assert desk.rpc_error("generateblock", ADDRESS, [forged.raw.hex()]) == (
        -25,
        "TestBlockValidity failed: block-script-verify-flag-failed, wrong signature",
    )
