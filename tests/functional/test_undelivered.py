"""Real nodes that are told of blocks which nobody has: they go on as if nothing had been said."""

import itertools
import time

from chain.block import decode_header
from chain.params import REGTEST
from node.interface.endpoint import Endpoint
from node.interface.messages import ANNOUNCED_MAX, Announce, Ok
from tests.chainlab import branch
from tests.functional.cluster import Cluster
from tests.functional.conftest import StartCluster
from tests.functional.siege import Guest

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
INTERVAL_S = 0.25
WATCH_S = 8.0
ATTACK_EVERY_S = 1.0
LEAST_SHARE = 0.75
"""Of the blocks of a miner that is left alone."""


def test_a_miner_that_is_told_of_blocks_nobody_has_keeps_its_rate(start_cluster: StartCluster) -> None:
    """Both mine in the same seconds; each second one is told of eight headers on its tip, by who hangs up then."""
    mine = ["--mine", ADDRESS, "--mine-interval", str(INTERVAL_S), "--mine-threads", "1"]
    cluster = start_cluster(2, links=(), options=[mine, mine])
    attacked, spared = 0, 1
    cluster.wait_for(lambda: min(heights(cluster)) >= 2, "both to mine")
    before, ends = heights(cluster), time.monotonic() + WATCH_S
    for number in itertools.count(1):
        announce_nothing(cluster, attacked, number)
        if time.monotonic() + ATTACK_EVERY_S > ends:
            break
        time.sleep(ATTACK_EVERY_S)
    made = [now - then for now, then in zip(heights(cluster), before, strict=True)]
    print(f"{number} attacks in {WATCH_S} s: {made[attacked]} blocks, left alone {made[spared]}")
    assert made[spared] > 5
    assert made[attacked] >= LEAST_SHARE * made[spared]
    info = cluster.rpc(attacked, "getblockchaininfo")
    assert info["initialblockdownload"] is False


def heights(cluster: Cluster) -> list[int]:
    return [cluster.rpc(index, "getblockcount") for index in range(len(cluster.nodes))]


def announce_nothing(cluster: Cluster, index: int, number: int) -> None:
    """A stranger greets, announces eight headers on the tip without having the blocks, and hangs up."""
    guest = Guest(Endpoint("127.0.0.1", cluster.nodes[index].p2p_port), number, REGTEST.network_id).greet()
    try:
        header = cluster.get(index, f"/block/{cluster.get(index, '/blocks/tip/hash')}/header")
        tip = decode_header(bytes.fromhex(header))
        assert guest.ask(Announce(tuple(branch(ANNOUNCED_MAX, tip, number, spacing_s=1)))) == Ok()
    finally:
        guest.close()
