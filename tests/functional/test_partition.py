r"""Two nodes that grew apart, joined again.

::

    base --- a1 ... a20             with payments that only this side knew
        \--- b1 ... b20 --- b21     more work
"""

import re
import subprocess

from chain.address import encode_address
from devnet.processes import environment
from tests.chainlab import Lab, funded, lock, pay
from tests.functional.cluster import Cluster, RealNode
from tests.functional.conftest import StartCluster

DEPTH = 20
PAYMENTS = 30
DIGEST = re.compile(r"[0-9a-f]{128}")


def feed(cluster: Cluster, index: int, lab: Lab) -> None:
    """Give a node the lab's blocks."""
    for block in lab.blocks:
        assert cluster.rpc(index, "submitblock", block.raw.hex()) is None


def digest_of(cluster: Cluster, node: RealNode) -> str:
    """What `groatd verify` says of a stopped node's ledger, recomputed from its coins and blocks."""
    command = cluster.command(node.index)
    where = ["--network", cluster.network, "--datadir", str(node.datadir)]
    outcome = subprocess.run(
        [*command[: command.index("--network")], "verify", *where],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        cwd="/",
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    found = DIGEST.search(outcome.stdout)
    assert found, outcome.stdout
    return found.group()


def mine_apart(cluster: Cluster, index: int, blocks: int) -> None:
    cluster.rpc(index, "generatetoaddress", blocks, encode_address(lock(number=index + 10)))


def test_the_branch_with_more_work_wins_and_nothing_is_lost(start_cluster: StartCluster) -> None:
    cluster, lab = start_cluster(2, links=()), funded()
    feed(cluster, 0, lab)
    feed(cluster, 1, lab)
    payments = [pay(lab.take(), fee=1000) for _ in range(PAYMENTS)]
    for payment in payments[: PAYMENTS // 2]:
        assert cluster.rpc(0, "sendrawtransaction", payment.raw.hex()) == payment.txid[::-1].hex()
    mine_apart(cluster, 0, DEPTH - 1)
    for payment in payments[PAYMENTS // 2 :]:
        cluster.rpc(0, "sendrawtransaction", payment.raw.hex())
    mine_apart(cluster, 0, 1)
    mine_apart(cluster, 1, DEPTH + 1)
    winner = cluster.rpc(1, "getbestblockhash")
    assert cluster.rpc(0, "getbestblockhash") != winner
    assert cluster.rpc(0, "getrawmempool") == []

    cluster.rpc(0, "addnode", cluster.nodes[1].p2p, "add")
    assert cluster.wait_for_agreement(lab.height + DEPTH + 1) == winner
    expected = {payment.txid[::-1].hex() for payment in payments}
    for index in (0, 1):
        cluster.wait_for(lambda i=index: set(cluster.rpc(i, "getrawmempool")) == expected, "the payments to be back")

    newcomer = cluster.add(peers=[0, 1])
    cluster.start(newcomer.index)
    assert cluster.wait_for_agreement(lab.height + DEPTH + 1) == winner
    mine_apart(cluster, 1, 1)
    cluster.wait_for_agreement(lab.height + DEPTH + 2)
    assert all(cluster.rpc(index, "getrawmempool") == [] for index in range(3))
    for index in range(3):
        assert cluster.stop(index) == 0
    assert len({digest_of(cluster, node) for node in cluster.nodes}) == 1


def test_partitions_of_equal_work_stay_until_the_next_block(start_cluster: StartCluster) -> None:
    cluster, lab = start_cluster(2, links=()), funded()
    for index in (0, 1):
        feed(cluster, index, lab)
        mine_apart(cluster, index, 3)
    tips = [cluster.rpc(index, "getbestblockhash") for index in (0, 1)]
    cluster.rpc(0, "addnode", cluster.nodes[1].p2p, "add")
    for index in (0, 1):
        cluster.wait_for(
            lambda i=index: tips[1 - i] in {tip["hash"] for tip in cluster.rpc(i, "getchaintips")}, "both branches"
        )
    assert [cluster.rpc(index, "getbestblockhash") for index in (0, 1)] == tips
    mine_apart(cluster, 0, 1)
    cluster.wait_for_agreement(lab.height + 4)
