"""The API over real sockets: payments posted, the tip asked for while full blocks connect."""

import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from chain.block import decode_block
from tests.bench.rows import Bench, Row
from tests.bench.workload import Chain, payments_chain
from tests.functional.cluster import Cluster

CLIENTS = 8
"""Keep-alive connections that post at once."""
ASK_EVERY_S = 0.005
"""Between two questions for the tip."""
CONNECT_S = 120.0
"""Blocks that are not connected in this time are a failure."""
TIP = b"GET /api/blocks/tip/height HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK = b"HTTP/1.1 200"


def measure(bench: Bench) -> Iterator[Row]:
    """How many answers a second, and how long one takes."""
    chain = payments_chain(bench.cache, bench.size(50, 8), 1_000)
    posted = [_post_rate(bench, chain, number) for number in range(bench.size(3, 1))]
    yield Row(f"POST /api/tx, {CLIENTS} clients", "tx/s", tuple(posted), bar=1_200)
    asked = bench.size(4_000, 1_000)
    with _Nodes(bench, "tiny", 1) as nodes:
        port = nodes.cluster.nodes[0].api_port
        ours, bare = bench.in_turns(
            {
                "tiny GET": lambda: asked / drive(port, [TIP] * asked, CLIENTS),
                "bare asyncio": lambda: _bare_rate(asked),
            },
            bench.size(5, 1),
        ).values()
    yield Row("GET /api/blocks/tip/height", "requests/s", ours, "asyncio, httptools, a constant answer", bare)
    waits = [_tip_waits_ms(bench, chain, number) for number in range(bench.size(5, 1))]
    for percent in (50, 99):
        figures = tuple(sorted(found)[len(found) * percent // 100] for found in waits)
        name = f"tip asked for while full blocks connect, p{percent}"
        yield Row(name, "ms", figures, bar=10.0 if percent == 99 else None, better="less")


def drive(port: int, requests: Sequence[bytes], connections: int) -> float:
    """Seconds until all are answered with 200, over so many connections, one request a time on each."""
    poller, sockets, left = select.epoll(), {}, iter(requests)
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[connection.fileno()] = connection
        poller.register(connection.fileno(), select.EPOLLIN)
    start = time.perf_counter()
    busy = 0
    for connection in sockets.values():
        if (request := next(left, None)) is not None:
            connection.sendall(request)
            busy += 1
    while busy:
        for descriptor, _ in poller.poll():
            answer = read_answer(sockets[descriptor])
            assert answer.startswith(OK), answer
            if (request := next(left, None)) is None:
                busy -= 1
            else:
                sockets[descriptor].sendall(request)
    taken = time.perf_counter() - start
    for connection in sockets.values():
        connection.close()
    return taken


def read_answer(connection: socket.socket) -> bytes:
    """One answer with a Content-Length, head and body."""
    answer = b""
    while True:
        received = connection.recv(65_536)
        assert received, "the node hung up"
        answer += received
        head, end, body = answer.partition(b"\r\n\r\n")
        if end:
            [length] = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            if len(body) >= length:
                return answer


class _Nodes:
    """Real node processes that have the chain's base."""

    def __init__(self, bench: Bench, name: str, count: int, chain: Chain | None = None) -> None:
        self.cluster = Cluster(bench.folder / name)
        for _ in range(count):
            self.cluster.add()
        self._count, self._chain = count, chain

    def __enter__(self) -> "_Nodes":
        self.cluster.start()
        for node in range(self._count):
            for raw in self._chain.base if self._chain else ():
                self.submit(node, raw)
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.close()

    def submit(self, node: int, raw: bytes) -> None:
        """Give a node a block."""
        refused = self.cluster.rpc(node, "submitblock", raw.hex())
        assert refused is None, refused


def _post_rate(bench: Bench, chain: Chain, number: int) -> float:
    bench.say(f"POST /api/tx, round {number + 1}")
    raws = [tx.raw.hex().encode() for raw in chain.payments[:4] for tx in decode_block(raw).txs[1:]]
    head = b"POST /api/tx HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
    with _Nodes(bench, f"post-{number}", 1, chain) as nodes:
        return len(raws) / drive(nodes.cluster.nodes[0].api_port, [head % (len(raw), raw) for raw in raws], CLIENTS)


BARE = """
import asyncio
from httptools import HttpRequestParser

class Constant(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.parser = transport, HttpRequestParser(self)

    def data_received(self, received):
        self.parser.feed_data(received)

    def on_message_complete(self):
        self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\nContent-Length: 3\\r\\n\\r\\n126")

async def serve():
    server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(serve())
"""


def _bare_rate(asked: int) -> float:
    """What asyncio and httptools alone do with as small an answer, in a process of its own."""
    with subprocess.Popen([sys.executable, "-c", BARE], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            return asked / drive(int(server.stdout.readline()), [TIP] * asked, CLIENTS)
        finally:
            server.terminate()


def _tip_waits_ms(bench: Bench, chain: Chain, number: int) -> list[float]:
    """How long each question took while a node got the payments from another."""
    bench.say(f"tip while blocks connect, round {number + 1}")
    goal = len(chain.base) + len(chain.payments)
    with _Nodes(bench, f"tip-{number}", 2, chain) as nodes:
        for raw in chain.payments:
            nodes.submit(0, raw)
        connection = socket.create_connection(("127.0.0.1", nodes.cluster.nodes[1].api_port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        nodes.cluster.rpc(1, "addnode", nodes.cluster.nodes[0].p2p, "add")
        waits: list[float] = []
        height, deadline = 0, time.monotonic() + CONNECT_S
        while height < goal:
            assert time.monotonic() < deadline, f"stuck at height {height}"
            start = time.perf_counter()
            connection.sendall(TIP)
            height = int(read_answer(connection).rpartition(b"\r\n\r\n")[2])
            taken = time.perf_counter() - start
            if height > len(chain.base):
                waits.append(taken * 1e3)
            time.sleep(max(0.0, ASK_EVERY_S - taken))
        connection.close()
    return waits
