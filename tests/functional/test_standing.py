"""Roles and free riders with real nodes: processes, HTTP, and peers made by hand."""

import http.client
import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from chain.hashes import sha256
from chain.params import GENESIS, REGTEST
from chain.tx import Tx
from devnet.rpc import NodeRpcError
from node.interface.messages import (
    BLOCKS_MAX,
    PROTOCOL_VERSION,
    SERVES_BLOCKS,
    Blocks,
    Confirm,
    Facts,
    GetBlocks,
    Hello,
    Inv,
    Ok,
    Reason,
    Refusal,
    Txs,
    Want,
    Welcome,
)
from node.p2p.connections.identity import HandshakeSide, NodeIdentity, handshake_digest, peer_id
from node.p2p.scoring.service_flags import RECENT_BLOCKS
from node.p2p.wire.codec import SESSION_HEADER, decode_reply, encode, route_name
from node.p2p.wire.short_txid import names_at
from tests.chainlab import ENGINE, Lab, funded, pay
from tests.functional.cluster import Cluster, make_cluster

BUDGET_KB_S = 10


@pytest.fixture(scope="module")
def lab() -> Lab:
    """A chain of which the lower blocks are bulk."""
    lab = funded()
    lab.mine_empty(RECENT_BLOCKS)
    return lab


class Client:
    """A peer by hand, of one real node."""

    def __init__(self, cluster: Cluster, index: int, number: int) -> None:
        self._where = cluster.nodes[index].p2p
        identity = NodeIdentity(sha256(b"client %d" % number), ENGINE, random.Random(number))
        self.id = identity.id
        self.token = b""
        about = (SERVES_BLOCKS, "client", 0, 0, GENESIS.hash)
        ours = Facts(PROTOCOL_VERSION, identity.public_key, REGTEST.network_id, bytes(8), None, *about)
        welcome = self.ask(Hello(ours, bytes(32)))
        assert isinstance(welcome, Welcome)
        ids = self.id, peer_id(welcome.facts.public_key)
        digest = handshake_digest(REGTEST.network_id, HandshakeSide.DIALLER, ids, (bytes(32), welcome.challenge))
        assert self.ask(Confirm(welcome.token, identity.prove(digest))) == Ok()
        self.token, self._salt = welcome.token, welcome.facts.instance

    def ask(self, request: Any) -> Any:
        """What the node answers."""
        name = route_name(request)
        with closing(http.client.HTTPConnection(self._where, timeout=20)) as connection:
            headers = {"Content-Type": "application/octet-stream", SESSION_HEADER: self.token.hex()}
            connection.request("POST", f"/p2p/{name}", encode(request), headers)
            return decode_reply(name, connection.getresponse().read())

    def give(self, tx: Tx) -> None:
        """Bring a payment that the node does not have."""
        names = names_at(self._salt, [tx.wtxid])
        assert self.ask(Inv(names)) == Want(names)
        assert self.ask(Txs((tx,))) == Want(())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, lab: Lab) -> Iterator[Cluster]:
    """A full node with little to give, and beside it a pruned and a light one."""
    options = [("--bulk-budget", str(BUDGET_KB_S)), ("--role", "pruned"), ("--role", "light")]
    cluster = make_cluster(tmp_path_factory.mktemp("roles"), 3, [(0, 1), (0, 2)], options, "regtest")
    try:
        cluster.start()
        for block in lab.blocks:
            assert cluster.rpc(0, "submitblock", block.raw.hex()) is None
        yield cluster
    finally:
        cluster.close()


def test_what_each_role_says_and_has(cluster: Cluster, lab: Lab) -> None:
    cluster.wait_for(lambda: cluster.rpc(1, "getblockcount") == lab.height, "the pruned node to sync")
    cluster.wait_for(
        lambda: cluster.rpc(2, "getblockchaininfo")["headers"] == lab.height, "the light node to have all headers"
    )
    with pytest.raises(NodeRpcError, match="has headers and no blocks: ask a full node"):
        cluster.rpc(2, "getblockcount")
    assert [int(cluster.rpc(node, "getnetworkinfo")["localservices"], 16) for node in range(3)] == [1, 14, 8]
    served = {index: Client(cluster, index, 50 + index) for index in range(3)}
    old, new = GetBlocks((lab.blocks[0].hash,)), GetBlocks((lab.blocks[-1].hash,))
    assert served[0].ask(old) == Blocks((lab.blocks[0].raw,))
    assert served[1].ask(old) == served[2].ask(new) == Refusal(Reason.NOT_SERVED)
    assert served[1].ask(new) == Blocks((lab.blocks[-1].raw,))


def test_free_riders_wait_while_who_gives_is_served(cluster: Cluster, lab: Lab) -> None:
    givers = [Client(cluster, 0, number) for number in range(2)]
    takers = [Client(cluster, 0, 10 + number) for number in range(6)]
    source = lab.copy()
    for giver in givers:
        giver.give(pay(source.take()))
    old = GetBlocks(tuple(block.hash for block in lab.blocks[:BLOCKS_MAX]))
    new = GetBlocks((lab.blocks[-1].hash,))
    choked: set[bytes] = set()

    def takers_have_been_choked() -> bool:
        """All but the one that has the optimistic slot."""
        for client in (*takers, *givers):
            reply = client.ask(old)
            assert isinstance(reply, Blocks) or reply == Refusal(Reason.CHOKED)
            if reply == Refusal(Reason.CHOKED):
                choked.add(client.id)
        return len(choked) >= len(takers) - 1

    cluster.wait_for(takers_have_been_choked, "free riders to be choked")
    assert not choked & {giver.id for giver in givers}
    assert all(isinstance(client.ask(new), Blocks) for client in (*takers, *givers))
    known = {peer["nodeid"]: peer for peer in cluster.rpc(0, "getpeerinfo")}
    assert sum(known[taker.id.hex()]["choked"] for taker in takers) >= len(takers) - 1
    for giver in givers:
        assert not known[giver.id.hex()]["choked"]
        assert known[giver.id.hex()]["score"] > 0
