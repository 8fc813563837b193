"""Between hosts in namespaces: takes every connection, makes it anew in the sender's name, and
hands each byte over half a round-trip time later. Run by namespaces.py.

    python delayrelay.py PORT '{"30.1.0.1": 5, ...}'
"""

import asyncio
import json
import socket
import sys
from collections.abc import Mapping

IP_TRANSPARENT = 19
"""Lets a socket have an address that is not its host's own (linux/in.h)."""
CHUNK = 65_536
QUEUE_MAX = 64
"""Chunks on their way in one direction; with more the sender has to wait."""


def transparent() -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setblocking(False)
    return made


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """One direction, until its end."""
    loop = asyncio.get_running_loop()
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUE_MAX)

    async def take() -> None:
        while chunk := await reader.read(CHUNK):
            await on_the_way.put((loop.time() + delay_s, chunk))
        await on_the_way.put((loop.time() + delay_s, b""))

    taking = asyncio.create_task(take())
    try:
        while True:
            due, chunk = await on_the_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not chunk:
                writer.write_eof()
                return
            writer.write(chunk)
            await writer.drain()
    finally:
        taking.cancel()


class Relay:
    def __init__(self, port: int, round_trip_ms: Mapping[str, float]) -> None:
        self._port = port
        self._round_trip_ms = round_trip_ms

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        (sender, _), (receiver, _) = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        round_trip_s = max(self._round_trip_ms.get(host, 0) for host in (sender, receiver)) / 1_000
        onward = transparent()
        there: asyncio.StreamWriter | None = None
        try:
            await asyncio.sleep(round_trip_s)  # what connecting takes
            onward.bind((sender, 0))
            await asyncio.get_running_loop().sock_connect(onward, (receiver, self._port))
            answers, there = await asyncio.open_connection(sock=onward)
            await asyncio.gather(pump(reader, there, round_trip_s / 2), pump(answers, writer, round_trip_s / 2))
        except OSError:
            pass  # one of them has hung up: so does the relay
        finally:
            writer.close()
            (there or onward).close()

    async def run(self) -> None:
        listening = transparent()
        listening.bind(("0.0.0.0", self._port))
        server = await asyncio.start_server(self.carry, sock=listening)
        print("ready", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(Relay(int(sys.argv[1]), json.loads(sys.argv[2])).run())
