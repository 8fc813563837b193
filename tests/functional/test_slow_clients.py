"""A thousand clients that drip headers and a thousand that drip bodies, at both listeners of one
node: everybody else is answered as if they were not there.

GROAT_SIEGE=1 for that size; without it, a tenth of the sockets and fewer questions.
"""

import http.client
import os
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event, Thread

from chain.params import GENESIS, REGTEST
from node.interface.endpoint import Endpoint
from node.interface.messages import GetAddresses, GetBlocks, Refusal
from tests.functional.conftest import StartCluster
from tests.functional.siege import Attack, Guest

IS_FULL = bool(os.environ.get("GROAT_SIEGE"))
SOCKETS = 2_000 if IS_FULL else 200
"""At each listener: half drip a header, half a body."""
QUESTIONS = 1_000 if IS_FULL else 150
"""Of each kind."""
CROWD = 1_500
"""That connect at once."""
P99_MAX_S = 0.25
WAIT_MAX_S = 1.5
"""It was 3.3 s."""
GROWTH_MAX_BYTES = 50 * 1024 * 1024


def test_slow_clients_are_in_nobodys_way(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, links=())
    node = cluster.nodes[0]
    assert node.process
    before = resident_bytes(node.process.pid)
    with (
        Attack("slow", node.api_port, SOCKETS, "/tx") as at_api,
        Attack("slow", node.p2p_port, SOCKETS, "/p2p/blocks") as at_p2p,
    ):
        times = ask_both(node.api_port, node.p2p_port)
        grown = resident_bytes(node.process.pid) - before
    p99_ms = {kind: 1000 * sorted(took)[len(took) * 99 // 100] for kind, took in times.items()}
    print({kind: f"p99 {p99:.1f} ms" for kind, p99 in p99_ms.items()}, f"{grown / 2**20:.1f} MB more")
    print("came back:", at_api.figures, at_p2p.figures)
    assert max(p99_ms.values()) < 1000 * P99_MAX_S
    assert grown < GROWTH_MAX_BYTES


def test_nobody_waits_long_while_they_come(start_cluster: StartCluster) -> None:
    """Fifteen hundred at once: what takes seconds is to let them in one by one."""
    cluster = start_cluster(1, links=())
    port = cluster.nodes[0].api_port
    times: list[float] = []
    over = Event()

    def ask() -> None:
        while not over.is_set():
            start = time.perf_counter()
            ask_height_anew(port)
            times.append(time.perf_counter() - start)

    asking = Thread(target=ask)
    asking.start()
    try:
        with Attack("slow", port, CROWD, "/tx"):
            cluster.wait_for(lambda: len(times) >= 20, "some answers")
    finally:
        over.set()
        asking.join()
    print(f"{len(times)} answers, slowest {max(times):.3f} s")
    assert max(times) < WAIT_MAX_S


def ask_both(api_port: int, p2p_port: int) -> dict[str, list[float]]:
    """Seconds that honest questions took: on a connection that stays, and each on its own."""
    where = Endpoint("127.0.0.1", p2p_port)
    times: dict[str, list[float]] = {}

    def timed(kind: str, ask: Callable[[], object]) -> None:
        start = time.perf_counter()
        ask()
        times.setdefault(kind, []).append(time.perf_counter() - start)

    with (
        closing(Guest(where, 1, REGTEST.network_id).greet()) as peer,
        closing(http.client.HTTPConnection("127.0.0.1", api_port, timeout=30)) as wallet,
    ):
        for number in range(QUESTIONS):
            timed("api, same connection", lambda: ask_height(wallet))
            timed("api, new connection", lambda: ask_height_anew(api_port))
            timed("p2p, same connection", lambda: is_answered(peer, GetBlocks((GENESIS.hash,))))
            if number % 10 == 0:
                timed("p2p, greeting", partial(greet_as, number + 2, where))
    return times


def greet_as(number: int, where: Endpoint) -> None:
    Guest(where, number, REGTEST.network_id).greet().close()


def ask_height(wallet: http.client.HTTPConnection) -> None:
    wallet.request("GET", "/blocks/tip/height")
    reply = wallet.getresponse()
    assert (reply.status, reply.read()) == (200, b"0")


def ask_height_anew(port: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        ask_height(connection)


def is_answered(peer: Guest, request: GetBlocks | GetAddresses) -> None:
    assert not isinstance(peer.ask(request), Refusal)


def resident_bytes(pid: int) -> int:
    """Memory that a process holds."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024
