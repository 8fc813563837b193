"""A small Esplora server for wallet tests: real HTTP over loopback, a made-up chain behind it.

The chain has no proof of work, but it checks payments as a node's mempool does: coins exist and
are mature, signatures open them, lock times are over, fees reach the relay rate, nothing is dust,
and no unconfirmed row has more than 25 transactions.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chain.address import encode_address
from chain.coins import Coin
from chain.errors import Rejected
from chain.hashes import Txid, hash160, sha256, sha256d, to_hex
from chain.keys import default_engine, encode_der
from chain.params import COINBASE_MATURITY, GENESIS, Params
from chain.script import SIGHASH_ALL, Spend
from chain.scripttype import SPENDABLE_KINDS, ScriptType, classify, p2wpkh_script
from chain.tx import (
    COIN,
    NULL_OUTPOINT,
    OutPoint,
    Tx,
    TxIn,
    TxOut,
    decode_tx,
    make_tx,
    outpoint,
    outpoint_index,
    outpoint_txid,
)

ENGINE = default_engine()
PAGE = 25
ROW_MAX = 25
DUST = {ScriptType.P2WPKH: 294, ScriptType.P2PKH: 546, ScriptType.P2TR: 330}
FIRST_TIME = 1_700_000_000
STRANGER = bytes(31) + b"\x07"
"""A secret key of somebody else."""
STRANGER_SCRIPT = p2wpkh_script(hash160(ENGINE.public_key(STRANGER)))
STRANGER_ADDRESS = encode_address(STRANGER_SCRIPT) or ""
HOARD_COIN = 1_000 * COIN
HOARD = make_tx(2, (TxIn(NULL_OUTPOINT, b"hoard", 0),), (TxOut(HOARD_COIN, STRANGER_SCRIPT),) * 200, 0)
"""What strangers pay with: in the first block, and mature from the start."""


class Refuse(Exception):
    """A transaction is not taken; the text is the node's answer."""


@dataclass
class Chain:
    """Blocks, a mempool, and what follows from them."""

    blocks: list[tuple[bytes, list[Tx]]] = field(default_factory=lambda: [(GENESIS.hash, [HOARD])])
    pool: dict[Txid, Tx] = field(default_factory=dict)
    estimates: dict[str, float] = field(default_factory=lambda: {"1": 3.5, "6": 2.0, "25": 1.0})
    network: Params | None = None
    """What the node tells of its network; None: Esplora's API has no such route."""
    minimum: float | None = None
    """The lowest fee rate taken, in sat/vB; None: Esplora's API has no such route."""
    refuse_next: list[str] = field(default_factory=list)
    """Answers for the next transactions handed in, whatever they are."""
    handed_in: list[Txid] = field(default_factory=list)
    """Every transaction that came, taken or not."""
    instead: Callable[[Tx], None] | None = None
    """What is done with a transaction handed in, in the place of judging it."""
    serial: int = 0
    paid: int = -1
    _known: dict[Txid, tuple[Tx, int | None]] = field(default_factory=dict)
    _scripts: dict[bytes, list[Tx]] = field(default_factory=dict)
    _known_at: object = None

    @property
    def height(self) -> int:
        return len(self.blocks) - 1

    def confirmed(self) -> Iterator[tuple[Tx, int]]:
        for height, (_, txs) in enumerate(self.blocks):
            yield from ((tx, height) for tx in txs)

    def known(self) -> dict[Txid, tuple[Tx, int | None]]:
        """Every transaction with its height, or None while unconfirmed. Kept until something changes."""
        state = (self.serial, len(self.blocks), tuple(self.pool))
        if self._known_at != state:
            self._known = {tx.txid: (tx, height) for tx, height in self.confirmed()}
            self._known |= {txid: (tx, None) for txid, tx in self.pool.items()}
            self._scripts = {}
            for tx, _ in self._known.values():
                for script_hash in self._touched(tx):
                    self._scripts.setdefault(script_hash, []).append(tx)
            self._known_at = state
        return self._known

    def _touched(self, tx: Tx) -> set[bytes]:
        locks = {output.script for output in tx.outputs}
        for spent in tx.inputs:
            if spent.outpoint != NULL_OUTPOINT:
                source = self._known[outpoint_txid(spent.outpoint)][0]
                locks.add(source.outputs[outpoint_index(spent.outpoint)].script)
        return {sha256(lock) for lock in locks}

    def find(self, txid: Txid) -> tuple[Tx, int | None] | None:
        return self.known().get(txid)

    def output(self, point: OutPoint) -> TxOut:
        return self.known()[outpoint_txid(point)][0].outputs[outpoint_index(point)]

    def coins(self) -> dict[OutPoint, Coin]:
        """Every unspent output; the unconfirmed have the next block's height."""
        coins: dict[OutPoint, Coin] = {}
        for tx, height in self.known().values():
            for spent in tx.inputs:
                coins.pop(spent.outpoint, None)
            for index, output in enumerate(tx.outputs):
                coins[outpoint(tx.txid, index)] = Coin.make(
                    self.height + 1 if height is None else height, tx.is_coinbase, output
                )
        return coins

    # What happens

    def mine(self, count: int = 1, script: bytes = STRANGER_SCRIPT, value: int = 50 * COIN) -> list[Tx]:
        """Blocks that pay `script`; the first takes the whole mempool."""
        coinbases = []
        for _ in range(count):
            self.serial += 1
            txin = TxIn(NULL_OUTPOINT, self.serial.to_bytes(4, "little"), 0xFFFF_FFFF)
            coinbase = make_tx(2, (txin,), (TxOut(value, script),), 0)
            self.blocks.append((sha256d(b"block" + self.serial.to_bytes(4, "little")), [coinbase, *self.pool.values()]))
            self.pool = {}
            coinbases.append(coinbase)
        return coinbases

    def pay(self, script: bytes, *values: int, mine: bool = True) -> Tx:
        """A stranger pays `script`; confirmed at once, or left in the mempool."""
        coin = TxOut(HOARD_COIN, STRANGER_SCRIPT)
        outputs = [TxOut(value, script) for value in values]
        outputs.append(TxOut(HOARD_COIN - sum(values) - 10_000, STRANGER_SCRIPT))
        self.paid += 1
        unsigned = TxIn(outpoint(HOARD.txid, self.paid), b"", 0xFFFF_FFFD)
        draft = make_tx(2, (unsigned,), tuple(outputs), 0)
        digest = Spend(draft, [Coin.make(0, True, coin)]).signature_hash(0, SIGHASH_ALL)
        signature = encode_der(ENGINE.sign_ecdsa(STRANGER, digest)) + bytes((SIGHASH_ALL,))
        signed = TxIn(unsigned.outpoint, b"", unsigned.sequence, (signature, ENGINE.public_key(STRANGER)))
        tx = make_tx(2, (signed,), draft.outputs, 0)
        self.accept(tx)
        if mine:
            self.mine()
        return tx

    def rewind(self, depth: int) -> None:
        """The last blocks go; their payments are back in the mempool."""
        self.serial += 1
        gone, self.blocks = self.blocks[-depth:], self.blocks[:-depth]
        returned = {tx.txid: tx for _, txs in gone for tx in txs if not tx.is_coinbase}
        self.pool = {**returned, **self.pool}

    def forget(self) -> None:
        """The mempool is lost."""
        self.pool = {}

    def accept(self, tx: Tx) -> None:
        if self.instead:
            self.instead(tx)
            return
        self.handed_in.append(tx.txid)
        if self.refuse_next:
            raise Refuse(self.refuse_next.pop(0))
        if tx.txid in self.pool:
            return
        coins = self.coins()
        if self.find(tx.txid):
            raise Refuse("-27: Transaction outputs already in utxo set")
        if any(spent.outpoint not in coins for spent in tx.inputs):
            raise Refuse("-25: bad-txns-inputs-missingorspent")
        spent = [coins[i.outpoint] for i in tx.inputs]
        self._check_outputs(tx, spent)
        if any(c.is_coinbase and 0 < self.height + 1 - c.height < COINBASE_MATURITY for c in spent if c.height):
            raise Refuse("-26: bad-txns-premature-spend-of-coinbase")
        if tx.lock_time > self.height:
            raise Refuse("-26: non-final")
        spend = Spend(tx, spent)
        try:
            good = ENGINE.first_failure(b"".join(spend.check(i) for i in range(len(spent)))) is None
        except Rejected as error:
            raise Refuse(f"-26: {error}") from error
        if not good:
            raise Refuse("-26: mempool-script-verify-flag-failed")
        self.pool[tx.txid] = tx
        rows = {txid: self.ancestors(txid) for txid in self.pool}
        if len(rows[tx.txid]) > ROW_MAX or any(
            sum(txid in row for row in rows.values()) > ROW_MAX for txid in rows[tx.txid]
        ):
            del self.pool[tx.txid]
            raise Refuse("-26: too-long-mempool-chain, too many unconfirmed ancestors [limit: 25]")

    def _check_outputs(self, tx: Tx, spent: list[Coin]) -> None:
        fee = sum(coin.value for coin in spent) - sum(output.value for output in tx.outputs)
        if fee < tx.vsize:
            raise Refuse(f"-26: min relay fee not met, {fee} < {tx.vsize}")
        for output in tx.outputs:
            kind = classify(output.script)
            if kind not in SPENDABLE_KINDS:
                raise Refuse("-26: scriptpubkey")
            if output.value < DUST[kind]:
                raise Refuse("-26: dust")

    def ancestors(self, txid: Txid) -> set[Txid]:
        if txid not in self.pool:
            return set()
        parents = (outpoint_txid(spent.outpoint) for spent in self.pool[txid].inputs)
        return {txid}.union(*(self.ancestors(parent) for parent in parents))

    # What Esplora says of it

    def script_txs(self, script_hash: bytes) -> tuple[list[Tx], list[Tx]]:
        """Unconfirmed, and confirmed newest first."""
        known = self.known()
        txs = self._scripts.get(script_hash, [])
        return [t for t in txs if known[t.txid][1] is None], [t for t in txs if known[t.txid][1] is not None][::-1]

    def status(self, height: int | None) -> dict[str, Any]:
        if height is None:
            return {"confirmed": False}
        block = to_hex(self.blocks[height][0])
        return {"confirmed": True, "block_height": height, "block_hash": block, "block_time": FIRST_TIME + 10 * height}

    def tx_json(self, tx: Tx) -> dict[str, Any]:
        found = self.find(tx.txid)
        assert found
        prevouts = [None if tx.is_coinbase else self.output(i.outpoint) for i in tx.inputs]
        fee = 0 if tx.is_coinbase else sum(p.value for p in prevouts if p) - sum(o.value for o in tx.outputs)
        return {
            "txid": to_hex(tx.txid),
            "version": tx.version,
            "locktime": tx.lock_time,
            "vin": [
                {
                    "txid": to_hex(outpoint_txid(i.outpoint)),
                    "vout": outpoint_index(i.outpoint),
                    "prevout": output_json(p) if p else None,
                    "scriptsig": i.script_sig.hex(),
                    "is_coinbase": tx.is_coinbase,
                    "sequence": i.sequence,
                }
                for i, p in zip(tx.inputs, prevouts, strict=True)
            ],
            "vout": [output_json(o) for o in tx.outputs],
            "size": tx.size,
            "weight": tx.weight,
            "fee": fee,
            "status": self.status(found[1]),
        }

    def utxos(self, script_hash: bytes) -> list[dict[str, Any]]:
        rows = []
        for point, coin in self.coins().items():
            if sha256(coin.script) == script_hash:
                found = self.find(outpoint_txid(point))
                assert found
                rows.append(
                    {
                        "txid": to_hex(outpoint_txid(point)),
                        "vout": outpoint_index(point),
                        "value": coin.value,
                        "status": self.status(found[1]),
                    }
                )
        return rows

    def outspend(self, point: OutPoint) -> dict[str, Any]:
        for tx, height in self.known().values():
            if any(spent.outpoint == point for spent in tx.inputs):
                return {"spent": True, "txid": to_hex(tx.txid), "vin": 0, "status": self.status(height)}
        return {"spent": False}

    def get(self, path: list[str]) -> Any:
        """The answer to a GET: text for str, JSON for the rest. LookupError for 404."""
        match path:
            case ["blocks", "tip", "hash"]:
                return to_hex(self.blocks[-1][0])
            case ["blocks", "tip", "height"]:
                return str(self.height)
            case ["block-height", height]:
                return to_hex(self.blocks[int(height)][0])
            case ["block", block_hash]:
                height = next(h for h, (hash_, _) in enumerate(self.blocks) if to_hex(hash_) == block_hash)
                return {"id": block_hash, "height": height}
            case ["scripthash", script_hash, "txs"]:
                waiting, mined = self.script_txs(bytes.fromhex(script_hash))
                return [self.tx_json(tx) for tx in [*waiting[:50], *mined[:PAGE]]]
            case ["scripthash", script_hash, "txs", "chain", last]:
                mined = self.script_txs(bytes.fromhex(script_hash))[1]
                start = [to_hex(tx.txid) for tx in mined].index(last) + 1
                return [self.tx_json(tx) for tx in mined[start : start + PAGE]]
            case ["scripthash", script_hash, "utxo"]:
                return self.utxos(bytes.fromhex(script_hash))
            case ["tx", txid]:
                return self.tx_json(self.known()[Txid(bytes.fromhex(txid)[::-1])][0])
            case ["tx", txid, "hex"]:
                return self.known()[Txid(bytes.fromhex(txid)[::-1])][0].raw.hex()
            case ["tx", txid, "outspend", index]:
                return self.outspend(outpoint(Txid(bytes.fromhex(txid)[::-1]), int(index)))
            case ["fee-estimates"]:
                return self.estimates
            case ["v1", "network"] if self.network:
                return {"name": self.network.name, "id": self.network.network_id.hex()}
            case ["v1", "fees", "recommended"] if self.minimum is not None:
                return {"fastestFee": self.minimum, "minimumFee": self.minimum}
        raise LookupError


def output_json(output: TxOut) -> dict[str, Any]:
    return {
        "scriptpubkey": output.script.hex(),
        "scriptpubkey_address": encode_address(output.script),
        "value": output.value,
    }


class Server(ThreadingHTTPServer):
    """Serves one chain. `requests` counts them, `before` may step in."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, chain: Chain) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.chain = chain
        self.lock = threading.Lock()
        self.requests: list[str] = []
        self.connections = 0
        self.before: Callable[[str], tuple[int, str] | None] = lambda path: None
        """Given a path, an answer that comes instead of the chain's."""
        self.after: Callable[[str, tuple[int, str]], tuple[int, str]] = lambda path, answer: answer
        """Given a path and the chain's answer, what is answered."""

    def answer_to(self, path: str) -> tuple[int, str]:
        """What a GET of a path is answered."""
        try:
            answer = self.chain.get(path.split("/")[1:])
        except (LookupError, StopIteration):
            return 404, "not found"
        return 200, answer if isinstance(answer, str) else json.dumps(answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one piece
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers["Content-Length"])))

    def _serve(self, body: bytes) -> None:
        with self.server.lock:
            status, content = self._answer(body)
            status, text = self.server.after(self.path[4:], (status, content.decode()))
            content = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, body: bytes) -> tuple[int, bytes]:
        assert self.path.startswith("/api/"), self.path
        self.server.requests.append(f"{self.command} {self.path[4:]}")
        if instead := self.server.before(self.path[4:]):
            return instead[0], instead[1].encode()
        if self.command == "POST":
            tx = decode_tx(bytes.fromhex(body.decode()))
            try:
                self.server.chain.accept(tx)
            except Refuse as refused:
                return 400, f"sendrawtransaction RPC error {refused}".encode()
            return 200, to_hex(tx.txid).encode()
        status, text = self.server.answer_to(self.path[4:])
        return status, text.encode()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serve(chain: Chain) -> Iterator[Server]:
    """A server for the chain while the block lasts."""
    with Server(chain) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
