"""submitpackage, its Esplora route, and testmempoolaccept of several: whole answers on a real node."""

import json
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest

from chain.hashes import to_hex
from chain.tx import COIN, Tx, TxOut
from tests.chainlab import FEE, Lab, data_output, key, lock, made_by, pay, remade, with_input
from tests.node.api.desk import WAIT_S, Desk, Reply

TOPOLOGY = (-25, "package topology disallowed. not child-with-parents or parents depend on each other.")


def hexes(*txs: Tx) -> list[str]:
    return [tx.raw.hex() for tx in txs]


def submit(desk: Desk, *txs: Tx, rate: Any = 0) -> Any:
    """The answer with amounts as they are printed, any fee rate being fine."""
    body = desk.post_rpc(json.dumps({"method": "submitpackage", "params": [hexes(*txs), rate]})).text
    envelope = json.loads(body, parse_float=Decimal)
    assert envelope["error"] is None, envelope["error"]
    return envelope["result"]


def result(message: str, results: list[tuple[Tx, Any]], replaced: tuple[Tx, ...] = ()) -> Any:
    return {
        "package_msg": message,
        "tx-results": {to_hex(tx.wtxid): {"txid": to_hex(tx.txid), **shape} for tx, shape in results},
        "replaced-transactions": [to_hex(tx.txid) for tx in replaced],
    }


def accepted(tx: Tx, fee: int, *others: tuple[Tx, int]) -> Any:
    """In, judged by its own fee, or by that of all of a group, itself among them."""
    group = others or ((tx, fee),)
    rate = sum(paid for _, paid in group) * 1000 // sum(one.vsize for one, _ in group)
    return {
        "vsize": tx.vsize,
        "fees": {
            "base": Decimal(fee) / COIN,
            "effective-feerate": Decimal(rate) / COIN,
            "effective-includes": [to_hex(one.wtxid) for one, _ in group],
        },
    }


def present(tx: Tx, fee: int) -> Any:
    return {"vsize": tx.vsize, "fees": {"base": Decimal(fee) / COIN}}


def broken_signature(tx: Tx) -> Tx:
    signature, key = tx.inputs[0].witness
    return with_input(tx, witness=(signature[:-2] + bytes((signature[-2] ^ 1,)) + signature[-1:], key))


WRONG = "mempool-script-verify-flag-failed (input 0: wrong signature)"
MISSING = "bad-txns-inputs-missingorspent"


def test_one_that_leaves_for_another_of_its_package_is_not_forgotten(
    desk: Desk, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its signatures, that nobody had asked for while it was here, are verified, and it enters by itself."""
    monkeypatch.setattr(
        desk.node._txs._packages, "verify", lambda txs: None
    )  # as if it had been here until a moment ago
    tx = pay(lab.take())
    assert submit(desk, tx)["package_msg"] == "transaction failed"
    assert desk.rpc("getrawmempool") == [to_hex(tx.txid)]


# let in


def test_a_package_that_pays_well(desk: Desk, lab: Lab) -> None:
    parent = pay(lab.take())
    child = pay([made_by(parent)])
    assert submit(desk, parent, child) == result(
        "success", [(parent, accepted(parent, FEE)), (child, accepted(child, FEE))]
    )
    assert set(desk.rpc("getrawmempool")) == {to_hex(parent.txid), to_hex(child.txid)}
    again = submit(desk, parent, child)
    assert again == result("success", [(parent, present(parent, FEE)), (child, present(child, FEE))])


def test_a_child_pays_for_a_parent_that_pays_nothing(desk: Desk, lab: Lab) -> None:
    parent = pay(lab.take(), fee=0)
    child = pay([made_by(parent)], fee=3_000)
    assert desk.rpc_error("sendrawtransaction", parent.raw.hex()) == (-26, f"min relay fee not met, 0 < {parent.vsize}")
    group = ((parent, 0), (child, 3_000))
    assert submit(desk, parent, child) == result(
        "success", [(parent, accepted(parent, 0, *group)), (child, accepted(child, 3_000, *group))]
    )
    entry = desk.rpc("getmempoolentry", to_hex(parent.txid))
    assert (entry["descendantcount"], entry["fees"]["descendant"]) == (2, 0.00003)
    # Both are mined together.
    made = desk.rpc("generateblock", f"raw({lock().hex()})", [to_hex(parent.txid), to_hex(child.txid)])
    assert len(desk.rpc("getblock", made["hash"])["tx"]) == 3
    assert desk.rpc("getrawmempool") == []


def test_only_those_that_need_it_are_judged_together(desk: Desk, lab: Lab) -> None:
    rich, poor = pay(lab.take()), pay(lab.take(), fee=0)
    child = pay([made_by(rich), made_by(poor)], fee=3_000)
    group = ((poor, 0), (child, 3_000))
    assert submit(desk, rich, poor, child) == result(
        "success",
        [(rich, accepted(rich, FEE)), (poor, accepted(poor, 0, *group)), (child, accepted(child, 3_000, *group))],
    )


def test_one_transaction_is_a_package(desk: Desk, lab: Lab) -> None:
    tx = pay(lab.take())
    assert submit(desk, tx) == result("success", [(tx, accepted(tx, FEE))])
    poor = pay(lab.take(), fee=0)
    assert submit(desk, poor) == result(
        "transaction failed", [(poor, {"error": f"min relay fee not met, 0 < {poor.vsize}"})]
    )


def test_others_witnesses_and_those_that_wait_already(desk: Desk, lab: Lab) -> None:
    parent = pay(lab.take())
    desk.pool(parent)
    twin = broken_signature(parent)
    child = pay([made_by(parent)])
    assert twin.txid == parent.txid
    assert submit(desk, twin, child) == result(
        "success", [(twin, {"other-wtxid": to_hex(parent.wtxid)}), (child, accepted(child, FEE))]
    )


def test_a_package_replaces(desk: Desk, lab: Lab) -> None:
    [coin] = lab.take()
    old = pay([coin])
    desk.pool(old)
    parent = pay([coin], [TxOut(coin.coin.value, lock(number=2))])
    child = pay([made_by(parent)], fee=5_000)
    group = ((parent, 0), (child, 5_000))
    assert submit(desk, parent, child) == result(
        "success", [(parent, accepted(parent, 0, *group)), (child, accepted(child, 5_000, *group))], (old,)
    )
    # And by itself, in a package.
    better = pay([coin], fee=20_000)
    assert submit(desk, better) == result("success", [(better, accepted(better, 20_000))], (parent, child))


# kept out


def test_together_they_pay_too_little(desk: Desk, lab: Lab) -> None:
    parent = pay(lab.take(), fee=0)
    child = pay([made_by(parent)], fee=200)
    total = parent.vsize + child.vsize
    assert submit(desk, parent, child) == result(
        "transaction failed",
        [
            (parent, {"error": f"min relay fee not met, 0 < {parent.vsize}"}),
            (child, {"error": f"min relay fee not met, 200 < {total}"}),
        ],
    )
    assert desk.rpc("getrawmempool") == []


def test_a_wrong_signature_keeps_the_rest_apart(desk: Desk, lab: Lab) -> None:
    good, bad = pay(lab.take()), broken_signature(pay(lab.take()))
    child = pay([made_by(good), made_by(bad)])
    assert submit(desk, good, bad, child) == result(
        "transaction failed",
        [(good, accepted(good, FEE)), (bad, {"error": WRONG}), (child, {"error": MISSING})],
    )
    assert desk.rpc("getrawmempool") == [to_hex(good.txid)]  # as Core: what may enter by itself does
    poor = pay(lab.take(), fee=0)
    forged = broken_signature(pay([made_by(poor)], fee=5_000))
    assert submit(desk, poor, forged) == result(
        "transaction failed",
        [(poor, {"error": f"min relay fee not met, 0 < {poor.vsize}"}), (forged, {"error": WRONG})],
    )
    assert desk.rpc("getrawmempool") == [to_hex(good.txid)]


def test_what_no_signature_could_open_stays_out(desk: Desk, lab: Lab) -> None:
    """The child's key is another's: nothing was sent out to be verified, for nothing could have been right."""
    [coin] = lab.take()
    parent = pay([coin], [TxOut(coin.coin.value, lock(number=1))])
    child = pay([made_by(parent)], fee=5_000)
    signature, _ = child.inputs[0].witness
    stolen = with_input(child, witness=(signature, key(2).public))
    found = submit(desk, parent, stolen)
    assert found["package_msg"] == "transaction failed"
    error = "mempool-script-verify-flag-failed (input 0: the key does not hash to the coin's)"
    assert found["tx-results"][to_hex(stolen.wtxid)] == {"txid": to_hex(child.txid), "error": error}
    assert desk.rpc("getrawmempool") == []
    good = pay(lab.take())
    taken = with_input(pay([made_by(good)]), witness=(signature, key(2).public))
    assert tried(desk, good, taken)[1]["reject-reason"] == error
    assert submit(desk, parent, child)["package_msg"] == "success"


def test_every_wrong_signature_is_found(desk: Desk, lab: Lab) -> None:
    """Behind a wrong one the verifier does not look: those are sent out once more."""
    parents = [pay(lab.take()) for _ in range(6)]
    mixed = [broken_signature(tx) if n % 2 == 0 else tx for n, tx in enumerate(parents)]
    child = pay([made_by(tx) for tx in mixed])
    found = submit(desk, *mixed, child)
    errors = [found["tx-results"][to_hex(tx.wtxid)].get("error") for tx in (*mixed, child)]
    assert errors == [WRONG, None] * 3 + [MISSING]
    assert set(desk.rpc("getrawmempool")) == {to_hex(tx.txid) for tx in mixed[1::2]}


def test_an_unconfirmed_parent_left_out(desk: Desk, lab: Lab) -> None:
    waiting, parent = pay(lab.take()), pay(lab.take())
    desk.pool(waiting)
    child = pay([made_by(waiting), made_by(parent)])
    assert submit(desk, parent, child) == result(
        "package-not-child-with-unconfirmed-parents",
        [(parent, {"error": "package-not-validated"}), (child, {"error": "package-not-validated"})],
    )
    assert submit(desk, waiting, parent, child)["package_msg"] == "success"


def test_packages_that_are_none(desk: Desk, lab: Lab) -> None:
    [coin] = lab.take()
    one, other = pay([coin]), pay([coin], fee=2_000)
    child = pay([made_by(one), made_by(other)])
    not_validated = {"error": "package-not-validated"}
    assert submit(desk, one, other, child) == result(
        "conflict-in-package", [(tx, not_validated) for tx in (one, other, child)]
    )
    assert desk.rpc("getrawmempool") == []


def test_the_fee_rate_that_is_too_high(desk: Desk, lab: Lab) -> None:
    parent = pay(lab.take())
    child = pay([made_by(parent)], [TxOut(10_000, lock())])
    found = desk.rpc("submitpackage", hexes(parent, child))
    assert found["package_msg"] == "transaction failed"
    assert found["tx-results"][to_hex(child.wtxid)] == {"txid": to_hex(child.txid), "error": "max feerate exceeded"}
    poor = pay(lab.take(), fee=0)
    dear = pay([made_by(poor)], [TxOut(10_000, lock())])
    found = desk.rpc("submitpackage", package=hexes(poor, dear), maxfeerate="0.05")
    assert found["tx-results"][to_hex(dear.wtxid)]["error"] == "max feerate exceeded"
    assert desk.rpc("getrawmempool") == [to_hex(parent.txid)]
    assert submit(desk, poor, dear, rate=0)["package_msg"] == "success"


def test_submitpackage_refuses(desk: Desk, lab: Lab) -> None:
    parent, stranger = pay(lab.take()), pay(lab.take())
    child = pay([made_by(parent)])
    grandchild = pay([made_by(child)])
    count = (-8, "Array must contain between 1 and 25 transactions.")
    burning = pay(lab.take(), [TxOut(5_000, b"\x6a\x05hello")])
    cases: list[tuple[tuple[Any, ...], tuple[int, str]]] = [
        (([],), count),
        ((hexes(parent) * 26,), count),
        ((parent.raw.hex(),), (-3, "JSON value of type string is not of expected type array")),
        (([5],), (-3, "JSON value of type number is not of expected type string")),
        ((["00"],), (-22, "TX decode failed: 00 Make sure the tx has at least one input.")),
        ((hexes(child, parent),), TOPOLOGY),
        ((hexes(parent, stranger),), TOPOLOGY),
        ((hexes(parent, child, grandchild),), TOPOLOGY),
        ((hexes(parent, parent, child)[1:] * 2,), TOPOLOGY),
        ((hexes(parent, child), 2), (-8, "Fee rates larger than or equal to 1BTC/kvB are not accepted")),
        ((hexes(burning),), (-25, "Unspendable output exceeds maximum configured by user (maxburnamount)")),
    ]
    for given, expected in cases:
        assert desk.rpc_error("submitpackage", *given) == expected
    assert desk.rpc_error("submitpackage")[0] == -1
    assert desk.rpc("getrawmempool") == []
    assert desk.rpc("submitpackage", hexes(burning), 0, "0.00005")["package_msg"] == "success"


def test_nonsense_is_refused_one_by_one(desk: Desk, lab: Lab) -> None:
    """What no transaction may be gets its own words, and nothing else gets in its way."""
    good = pay(lab.take())
    twice = remade(good, inputs=good.inputs * 2)
    empty = remade(good, outputs=())
    for tx, words in ((twice, "bad-txns-inputs-duplicate"), (empty, "bad-txns-vout-empty")):
        assert submit(desk, tx) == result("transaction failed", [(tx, {"error": words})])


def test_two_submit_the_same_package_at_once(desk: Desk, lab: Lab) -> None:
    parents = [pay(lab.take(), fee=0) for _ in range(20)]
    child = pay([made_by(parent) for parent in parents], fee=20_000)
    found: list[Any] = []
    threads = [Thread(target=lambda: found.append(submit(desk, *parents, child))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert [one["package_msg"] for one in found] == ["success"] * 4
    assert len(desk.rpc("getrawmempool")) == 21


# Esplora


def post(desk: Desk, given: Any, query: str = "") -> Reply:
    body = given if isinstance(given, str) else json.dumps(given)
    return desk.request("POST", f"/api/txs/package{query}", body)


def test_the_route(desk: Desk, lab: Lab) -> None:
    parent = pay(lab.take(), fee=0)
    child = pay([made_by(parent)], fee=3_000)
    reply = post(desk, hexes(parent, child))
    assert (reply.status, reply.type) == (200, "application/json")
    group = ((parent, 0), (child, 3_000))
    assert json.loads(reply.text, parse_float=Decimal) == result(
        "success", [(parent, accepted(parent, 0, *group)), (child, accepted(child, 3_000, *group))]
    )
    dear = pay(lab.take(), [TxOut(10_000, lock())])
    refused = post(desk, hexes(dear)).json()["tx-results"][to_hex(dear.wtxid)]
    assert refused == {"txid": to_hex(dear.txid), "error": "max feerate exceeded"}
    assert post(desk, hexes(dear), "?maxfeerate=0").json()["package_msg"] == "success"
    burning = pay(lab.take(), [data_output(5), TxOut(10_000, lock())])
    burnt = remade(burning, outputs=(TxOut(900, burning.outputs[0].script), burning.outputs[1]))
    assert post(desk, hexes(burnt), "?maxburnamount=0.00000899&maxfeerate=1").status == 400
    assert post(desk, hexes(burnt), "?maxburnamount=0.000009&maxfeerate=1").status == 200


def test_the_route_refuses(desk: Desk, lab: Lab) -> None:
    parent = pay(lab.take())
    for wrong in ("", "x", "{}", "5", "[5]", '["a",null]', "[" * 100):
        reply = post(desk, wrong)
        assert (reply.status, reply.text) == (400, "Invalid array of transactions")
    for given, words in (
        ([], "submitpackage RPC error -8: Array must contain between 1 and 25 transactions."),
        (hexes(parent) * 26, "submitpackage RPC error -8: Array must contain between 1 and 25 transactions."),
        (["zz"], "submitpackage RPC error -22: TX decode failed: zz Make sure the tx has at least one input."),
        (hexes(parent, pay(lab.take())), f"submitpackage RPC error -25: {TOPOLOGY[1]}"),
    ):
        reply = post(desk, given)
        assert (reply.status, reply.text) == (400, words)
    for query in ("?maxfeerate=x", "?maxfeerate=-1", "?maxburnamount=0.000000001", "?maxfeerate=1e3", "?maxfeerate="):
        reply = post(desk, hexes(parent), query)
        assert (reply.status, reply.text) == (400, "Invalid amount")
    assert post(desk, '["' + "00" * 2_100_000 + '"]').status == 413
    assert desk.rpc("getrawmempool") == []


# several, only tried


def tried(desk: Desk, *txs: Tx, rate: Any = None) -> Any:
    body = desk.post_rpc(json.dumps({"method": "testmempoolaccept", "params": [hexes(*txs), rate]})).text
    return json.loads(body, parse_float=Decimal)["result"]


def names(tx: Tx) -> dict[str, str]:
    return {"txid": to_hex(tx.txid), "wtxid": to_hex(tx.wtxid)}


def allowed(tx: Tx, fee: int) -> Any:
    return {**names(tx), "allowed": True, **accepted(tx, fee)}


def test_several_are_tried_in_order(desk: Desk, lab: Lab) -> None:
    parent, stranger = pay(lab.take()), pay(lab.take(), fee=2_000)
    child = pay([made_by(parent)])
    for _ in range(2):  # the second time the signatures are known
        assert tried(desk, parent, stranger, child) == [
            allowed(parent, FEE),
            allowed(stranger, 2_000),
            allowed(child, FEE),
        ]
    assert desk.rpc("getrawmempool") == []


def test_the_first_that_is_refused_ends_it(desk: Desk, lab: Lab) -> None:
    good, last = pay(lab.take()), pay(lab.take())
    bad = pay(lab.take(), fee=-1)
    [before, refused, after] = tried(desk, good, bad, last)
    assert (before, after) == (names(good), names(last))
    assert refused.pop("reject-details").startswith("bad-txns-in-belowout, ")
    assert refused == {**names(bad), "allowed": False, "reject-reason": "bad-txns-in-belowout"}
    orphan = pay([made_by(pay(lab.take()))])
    assert tried(desk, good, orphan) == [
        names(good),
        {**names(orphan), "allowed": False, "reject-reason": "missing-inputs"},
    ]
    poor = pay([made_by(good)], fee=0)
    details = f"min relay fee not met, 0 < {poor.vsize}"
    assert tried(desk, good, poor)[1] == {
        **names(poor),
        "allowed": False,
        "reject-reason": "min relay fee not met",
        "reject-details": details,
    }


def test_signatures_come_last(desk: Desk, lab: Lab) -> None:
    good, last, bad = pay(lab.take()), pay(lab.take()), broken_signature(pay(lab.take()))
    assert tried(desk, good, bad, last) == [
        allowed(good, FEE),
        {**names(bad), "allowed": False, "reject-reason": WRONG, "reject-details": WRONG},
        names(last),
    ]


def test_none_is_replaced_by_several(desk: Desk, lab: Lab) -> None:
    [coin] = lab.take()
    desk.pool(pay([coin]))
    rival, other = pay([coin], fee=9_000), pay(lab.take())
    assert tried(desk, rival)[0]["allowed"] is True
    assert tried(desk, other, rival) == [
        names(other),
        {
            **names(rival),
            "allowed": False,
            "reject-reason": "bip125-replacement-disallowed",
            "reject-details": "bip125-replacement-disallowed",
        },
    ]


def test_packages_that_cannot_be_tried(desk: Desk, lab: Lab) -> None:
    parent = pay(lab.take())
    child = pay([made_by(parent)])
    [coin] = lab.take()
    for txs, error in (
        ((child, parent), "package-not-sorted"),
        ((parent, parent), "package-contains-duplicates"),
        ((pay([coin]), pay([coin], fee=2_000)), "conflict-in-package"),
    ):
        assert tried(desk, *txs) == [{**names(tx), "package-error": error} for tx in txs]


def test_one_that_pays_too_much_ends_it(desk: Desk, lab: Lab) -> None:
    good, last = pay(lab.take()), pay(lab.take())
    dear = pay(lab.take(), [TxOut(10_000, lock())])
    assert tried(desk, good, dear, last) == [
        allowed(good, FEE),
        {**names(dear), "allowed": False, "reject-reason": "max-fee-exceeded"},
        names(last),
    ]
    assert [one["allowed"] for one in tried(desk, good, dear, last, rate=0)] == [True] * 3


@pytest.mark.parametrize("waiting", [0, 1, 2])
def test_chains_are_as_long_with_those_that_wait(desk: Desk, lab: Lab, waiting: int) -> None:
    """25 in a row, of which some are in the mempool already."""
    chain = [pay(lab.take())]
    while len(chain) < 25:
        chain.append(pay([made_by(chain[-1])]))
    desk.pool(*chain[:waiting])
    assert [one["allowed"] for one in tried(desk, *chain[waiting:])] == [True] * (25 - waiting)
    longer = [*chain[waiting:], pay([made_by(chain[-1])])]
    if waiting:
        error = "package-mempool-limits, too many unconfirmed ancestors [limit: 25]"
        assert tried(desk, *longer) == [{**names(tx), "package-error": error} for tx in longer]
