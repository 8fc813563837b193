"""Real nodes on hosts of their own, 5, 50 and 150 ms apart: who is chosen, and what it is good for."""

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devnet.processes import environment
from devnet.rpc import NodeClient, NodeRpcError, Unreachable
from node.interface.endpoint import Endpoint
from node.p2p.addrman.addrman import AddrMan
from tests.functional.namespaces import PORT, Forbidden, Hosts, hosts

NEAR_GROUP = ["30.1.0.1", "30.1.0.2"]
"""Two hosts of one network group, the nearest."""
ROUND_TRIP_MS = {
    **dict.fromkeys(NEAR_GROUP, 5.0),
    **dict.fromkeys(["30.3.0.1", "30.4.0.1"], 50.0),
    **dict.fromkeys(["30.5.0.1", "30.6.0.1"], 150.0),
}
OURS = "30.9.0.1"
PLACES = 2
"""Outbound peers of our node: few, as there are few hosts."""
BLOCKS = 8
"""In each measurement."""
STARTS_LEAST, STARTS_MAX = 4, 20
"""By chance; more than the first until one of them has found nobody near, which two of three do not."""
READY_S = 60.0
SETTLE_S = 30.0
POLL_S = 0.002
API = "127.0.0.1:18443"
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"

NODE = """
import dataclasses, json, sys
import chain.params
chain.params.REGTEST = dataclasses.replace(chain.params.REGTEST, allow_local=False)
import node.p2p.connections.outbound as dialler
for name, number in json.loads(sys.argv.pop(1)).items():
    assert hasattr(dialler, name)
    setattr(dialler, name, number)
from node.__main__ import main
main()
"""
"""A node on a network like regtest but for public addresses, with limits of its dialler's set."""


class Scene:
    """The hosts, and the nodes on them."""

    def __init__(self, folder: Path, made: Hosts) -> None:
        self._folder = folder
        self._hosts = made
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._starts = 0

    def start(self, address: str, limits: dict[str, float], *options: str, knows: list[str] | None = None) -> None:
        """A node with an empty folder, or with an address book of these."""
        self._starts += 1
        datadir = self._folder / f"node{self._starts}"
        datadir.mkdir()
        if knows:
            book = AddrMan(random.Random(), allow_local=False)
            book.add([Endpoint(host, PORT) for host in knows], None, time.time())
            (datadir / "regtest").mkdir()
            (datadir / "regtest" / "peers.dat").write_bytes(book.dump())
        where = ["--datadir", str(datadir), "--api", API, "--p2p", f"{address}:{PORT}"]
        command = [sys.executable, "-P", "-c", NODE, json.dumps(limits), *where, "--log-file", str(datadir / "log")]
        with open(self._folder / "output", "ab") as output:
            self._running[address] = subprocess.Popen(
                self._hosts.command(address, *command, *options),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(),
                cwd="/",
            )
        self._cookie = datadir / "regtest" / ".cookie"
        self._clients = {**getattr(self, "_clients", {}), address: NodeClient(API, self._cookie)}

    def stop(self, address: str) -> None:
        """End a node."""
        process = self._running.pop(address)
        process.terminate()
        process.wait(30)

    def close(self) -> None:
        """End all of them."""
        for process in self._running.values():
            process.kill()
            process.wait()

    def rpc(self, address: str, method: str, *params: Any) -> Any:
        """Ask a node."""
        return self._hosts.inside(address, lambda: self._clients[address].rpc(method, *params))

    def wait_for(self, condition: Callable[[], object], what: str, within_s: float) -> float:
        """Poll until it holds; how long that took."""
        start = time.monotonic()
        while not condition():
            if time.monotonic() > start + within_s:
                output = (self._folder / "output").read_text()[-2_000:]
                raise AssertionError(f"waited {within_s:.0f} s for {what}\n{output}")
            time.sleep(POLL_S)
        return time.monotonic() - start

    def answers(self, address: str) -> bool:
        """True once a node is ready."""
        assert self._running[address].poll() is None, (self._folder / "output").read_text()[-2_000:]
        try:
            return bool(self.rpc(address, "getblockcount") >= 0)
        except (Unreachable, NodeRpcError):
            return False

    def chosen(self) -> list[str]:
        """The hosts that our node has chosen."""
        peers = self.rpc(OURS, "getpeerinfo")
        return [peer["addr"].split(":")[0] for peer in peers if peer["connection_type"] == "outbound-full-relay"]

    def is_dialled_back(self, host: str) -> bool:
        """True once this host can send to our node, and knows that those before it are gone."""
        peers = self.rpc(host, "getpeerinfo")
        return ["pingtime" in peer for peer in peers if peer["addr"].split(":")[0] == OURS] == [True]

    def block_s(self) -> float:
        """How long a block of the near group's takes to our node."""
        [found] = self.rpc(NEAR_GROUP[1], "generatetoaddress", 1, ADDRESS)
        return self.wait_for(lambda: self.rpc(OURS, "getbestblockhash") == found, "a block", 20)


@pytest.fixture
def netns(tmp_path: Path) -> Iterator[Scene]:
    """Hosts in network namespaces, and nodes on all but ours, each linked with each."""
    try:
        context = hosts(tmp_path, {**ROUND_TRIP_MS, OURS: 1.0})
        made = context.__enter__()
    except Forbidden as error:
        pytest.skip(f"netns: {error}")
    scene = Scene(tmp_path, made)
    try:
        for number, address in enumerate(ROUND_TRIP_MS):
            links = [part for other in list(ROUND_TRIP_MS)[:number] for part in ("--peer", f"{other}:{PORT}")]
            scene.start(address, {"OUTBOUND_MAX": 0, "BLOCKS_ONLY_MAX": 0}, *links)
        for address in ROUND_TRIP_MS:
            scene.wait_for(lambda address=address: scene.answers(address), f"{address} to answer", READY_S)
        others = len(ROUND_TRIP_MS) - 1
        for address in ROUND_TRIP_MS:
            scene.wait_for(
                lambda address=address: len(scene.rpc(address, "getpeerinfo")) == others, "all links", READY_S
            )
        yield scene
    finally:
        scene.close()
        context.__exit__(None, None, None)


def test_near_peers_are_preferred_and_blocks_come_sooner(netns: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    everybody = list(ROUND_TRIP_MS)
    random_alone = {"OUTBOUND_MAX": PLACES, "NEAR_MAX": 0, "BLOCKS_ONLY_MAX": 0}
    by_chance: list[tuple[list[str], list[float]]] = []
    while len(by_chance) < STARTS_LEAST or (is_near(by_chance) and len(by_chance) < STARTS_MAX):
        netns.start(OURS, random_alone, knows=everybody)
        settle(netns, lambda chosen: len(chosen) == PLACES)
        chosen = netns.chosen()
        by_chance.append((chosen, measured(netns)))
        netns.stop(OURS)

    half_near = random_alone | {"NEAR_MAX": PLACES // 2, "FEELER_S": 0.5, "REVIEW_S": 1.0}
    netns.start(OURS, half_near, knows=everybody)
    settle(netns, lambda chosen: len(chosen) == PLACES and set(chosen) & set(NEAR_GROUP))
    near = measured(netns)
    chosen = netns.chosen()
    assert set(chosen) & set(NEAR_GROUP)
    assert len([host for host in chosen if host not in NEAR_GROUP]) >= PLACES / 2

    each = ", ".join(f"{peers}: {1_000 * statistics.median(times):.0f}" for peers, times in by_chance)
    with capsys.disabled():
        print(
            f"\nblocks of the near group reach us in {1_000 * statistics.median(near):.0f} ms (peers {chosen});"
            f" by chance alone in {each}"
        )
    far = [times for peers, times in by_chance if not set(peers) & set(NEAR_GROUP)]
    assert far
    # The least of each: what the links alone take, whatever else the machine has to do.
    assert all(min(near) < min(times) for times in far)


def is_near(starts: list[tuple[list[str], list[float]]]) -> bool:
    """True if all of these have found somebody near."""
    return all(set(peers) & set(NEAR_GROUP) for peers, _ in starts)


def settle(netns: Scene, is_settled: Callable[[list[str]], object]) -> None:
    """Until our node is up, in step, and has chosen. At no time is more than half near."""

    def settled() -> bool:
        if not netns.answers(OURS):
            return False
        chosen = netns.chosen()
        near = [host for host in chosen if host in NEAR_GROUP]
        assert len(near) <= max(1, PLACES // 2), chosen
        return bool(is_settled(chosen))

    netns.wait_for(settled, "our node's choice", READY_S)
    netns.wait_for(lambda: all(map(netns.is_dialled_back, netns.chosen())), "links in both directions", SETTLE_S)
    tip = netns.rpc(NEAR_GROUP[1], "getbestblockhash")
    netns.wait_for(lambda: netns.rpc(OURS, "getbestblockhash") == tip, "our node to be in step", SETTLE_S)


def measured(netns: Scene) -> list[float]:
    """What some blocks take, after one that opens the connections."""
    netns.block_s()
    return [netns.block_s() for _ in range(BLOCKS)]
