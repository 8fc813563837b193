"""A miner outside the node, as minerd 2.5.1 is one: another process, nothing of the node's code.

Asks for templates, holds a long poll on a second connection, builds the coinbase from the
template's fields alone and hands blocks in without the coinbase's witness. Like minerd it goes on
with the same work after a block was found, until the long poll brings other work.

    python external_miner.py URL USER:PASSWORD SCRIPT_HEX [--blocks N] [--siblings N] [--seconds S] [--no-longpoll]

It ends after N blocks that the node took as its new tip, N that came too late, or S seconds, and prints how often it
heard each word.
"""

import argparse
import base64
import hashlib
import http.client
import json
import struct
import threading
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

RULES = {"capabilities": ["coinbasetxn", "coinbasevalue", "longpoll", "workid"], "rules": ["segwit"]}
TIMEOUT_S = 90
SCAN_S = 5.0
"""Without news, other work is asked for so often."""


def sha256d(message: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(message).digest()).digest()


def merkle_root(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = hashes + hashes[-1:] if len(hashes) % 2 else hashes
        hashes = [sha256d(hashes[i] + hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


def varint(number: int) -> bytes:
    if number < 0xFD:
        return bytes((number,))
    return b"\xfd" + struct.pack("<H", number) if number <= 0xFFFF else b"\xfe" + struct.pack("<I", number)


def height_push(height: int) -> bytes:
    """As minerd writes it: OP_n OP_0 up to 16, a push of the number above."""
    if height <= 16:
        return bytes((0x50 + height, 0))
    content = height.to_bytes(height.bit_length() // 8 + 1, "little")
    return bytes((len(content),)) + content


def coinbase(template: dict[str, Any], script: bytes) -> bytes:
    """Version 1, lock time 0, no witness; the commitment is our own, with a zero reserved value."""
    wtxids = [bytes(32)] + [bytes.fromhex(tx["hash"])[::-1] for tx in template["transactions"]]
    commitment = b"\x6a\x24\xaa\x21\xa9\xed" + sha256d(merkle_root(wtxids) + bytes(32))
    outputs = [(template["coinbasevalue"], script), (0, commitment)]
    signature = height_push(template["height"])
    return b"".join(
        (
            struct.pack("<I", 1),
            b"\x01" + bytes(32) + b"\xff\xff\xff\xff" + varint(len(signature)) + signature + b"\xff\xff\xff\xff",
            varint(len(outputs)),
            *(struct.pack("<q", value) + varint(len(lock)) + lock for value, lock in outputs),
            bytes(4),
        )
    )


class Work:
    """One template made into a header to grind, and the body that goes with it."""

    def __init__(self, template: dict[str, Any], script: bytes) -> None:
        first = coinbase(template, script)
        txids = [sha256d(first)] + [bytes.fromhex(tx["txid"])[::-1] for tx in template["transactions"]]
        self.head = (
            struct.pack("<i", template["version"])
            + bytes.fromhex(template["previousblockhash"])[::-1]
            + merkle_root(txids)
            + struct.pack("<I", template["curtime"])
            + bytes.fromhex(template["bits"])[::-1]
        )
        self.body = varint(len(txids)) + first + b"".join(bytes.fromhex(tx["data"]) for tx in template["transactions"])
        self.target = int(template["target"], 16)
        self.longpollid = template["longpollid"]
        self.next_nonce = 0
        self.made_at = time.monotonic()

    def solve(self, most: int) -> str | None:
        """The next block in hex, if one of the next nonces is good."""
        for nonce in range(self.next_nonce, self.next_nonce + most):
            header = self.head + struct.pack("<I", nonce)
            if int.from_bytes(sha256d(header), "little") <= self.target:
                self.next_nonce = nonce + 1
                return (header + self.body).hex()
        self.next_nonce += most
        return None


class Rpc:
    """One connection that is kept."""

    def __init__(self, url: str, login: str) -> None:
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        self.headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}

    def __call__(self, method: str, *params: object) -> Any:
        self.connection.request("POST", "/", json.dumps({"method": method, "params": params, "id": 0}), self.headers)
        reply = self.connection.getresponse()
        envelope = json.loads(reply.read())
        assert reply.status == 200, envelope  # minerd would pause
        return envelope["result"]


class Miner:
    def __init__(self, url: str, login: str, script: bytes) -> None:
        self.url, self.login, self.script = url, login, script
        self.rpc = Rpc(url, login)
        self.heard: Counter[str] = Counter()
        self.failure: Exception | None = None
        self.work = self.fetch(self.rpc)

    def fetch(self, rpc: Rpc, **more: str) -> Work:
        return Work(rpc("getblocktemplate", {**RULES, **more}), self.script)

    def follow(self) -> None:
        """The long poll's thread."""
        try:
            rpc = Rpc(self.url, self.login)
            while True:
                self.work = self.fetch(rpc, longpollid=self.work.longpollid)
                self.heard["long polls"] += 1
        except (AssertionError, OSError, http.client.HTTPException) as error:
            self.failure = error

    def run(self, blocks: int, siblings: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (
            self.heard["accepted"] < blocks
            and self.heard["inconclusive"] < siblings
            and time.monotonic() < deadline
            and self.failure is None
        ):
            work = self.work
            if time.monotonic() > work.made_at + SCAN_S:
                work = self.work = self.fetch(self.rpc)
            solved = work.solve(2000)
            if solved is not None:
                self.heard[self.rpc("submitblock", solved) or "accepted"] += 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("login")
    parser.add_argument("script", type=bytes.fromhex)
    parser.add_argument("--blocks", type=int, default=1 << 30)
    parser.add_argument("--siblings", type=int, default=1 << 30)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--no-longpoll", action="store_true")
    options = parser.parse_args()
    miner = Miner(options.url, options.login, options.script)
    if not options.no_longpoll:
        threading.Thread(target=miner.follow, daemon=True).start()
    miner.run(options.blocks, options.siblings, options.seconds)
    if miner.failure:
        raise miner.failure
    print(json.dumps(miner.heard))


if __name__ == "__main__":
    main()
