"""Chains of payments to measure with: regtest, one input and two outputs each, P2WPKH.

A chain is a base, which makes as many coins as there are payments, and blocks of payments, each
of which spends one of them. Recipients are all different, as on a real chain. The same sizes
give the same bytes; what was made once is kept as a file.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from struct import Struct

from chain.block import Block, decode_block, make_block
from chain.blocktemplate import build_block, solve
from chain.blocktree import BlockTree
from chain.coins import Coin
from chain.frozen import value
from chain.hashes import hash160, sha256
from chain.keys import Engine, default_engine, encode_der
from chain.params import COINBASE_MATURITY, REGTEST
from chain.script import SIGHASH_ALL, Spend
from chain.scripttype import p2wpkh_script
from chain.tx import SEQUENCE_FINAL, Tx, TxIn, TxOut, make_tx, outpoint

START_TIME = 1_600_000_000
"""Unix time of the first block: in the past, so that Bitcoin Core takes it too."""
SPACING_S = 60
KEYS_COUNT = 1_000
"""Who pays."""
FAN_OUT = 2_000
"""Coins that one transaction of the base makes: 62 kB."""
COIN_SAT = 100_000
FEE_SAT = 1_000
FORMAT = 1
"""Changes when the same sizes give other bytes."""
_SIZE = Struct("<I")


@value
class Chain:
    """Encoded blocks from height 1 on."""

    base: tuple[bytes, ...]
    payments: tuple[bytes, ...]
    per_block: int
    """Payments in each of the latter."""

    @property
    def txs_count(self) -> int:
        """Payments in all."""
        return len(self.payments) * self.per_block

    def rate(self, seconds: float) -> float:
        """Payments a second, if all blocks of payments but the first took so long."""
        return (len(self.payments) - 1) * self.per_block / seconds


def payments_chain(cache: Path, blocks: int, per_block: int, name: str = "fresh", branch: int = 0) -> Chain:
    """The chain of these sizes, made if it is not in the folder.

    Chains of another `name` share the base and spend its coins in other payments. Another `branch`
    has the same base and the same payments in other blocks.
    """
    path = cache / f"payments-{FORMAT}-{name}-{branch}-{blocks}x{per_block}"
    if path.exists():
        return _read(path)
    maker = _Maker(blocks, per_block, name, branch)
    chain = Chain(tuple(maker.base()), tuple(maker.payments()), per_block)
    partial = path.with_suffix(".partial")
    cache.mkdir(parents=True, exist_ok=True)
    with partial.open("wb") as file:
        file.write(_SIZE.pack(len(chain.base)) + _SIZE.pack(per_block))
        for raw in (*chain.base, *chain.payments):
            file.write(_SIZE.pack(len(raw)) + raw)
    partial.rename(path)
    return chain


def _read(path: Path) -> Chain:
    content = path.read_bytes()
    (base_count,), (per_block,) = _SIZE.unpack_from(content), _SIZE.unpack_from(content, 4)
    raws, pos = [], 8
    while pos < len(content):
        (size,) = _SIZE.unpack_from(content, pos)
        raws.append(content[pos + 4 : pos + 4 + size])
        pos += 4 + size
    return Chain(tuple(raws[:base_count]), tuple(raws[base_count:]), per_block)


class _Key:
    def __init__(self, engine: Engine, number: int) -> None:
        self.secret = sha256(b"groat bench key %d" % number)
        self.public = engine.public_key(self.secret)
        self.script = p2wpkh_script(hash160(self.public))


class _Maker:
    def __init__(self, blocks: int, per_block: int, name: str, branch: int) -> None:
        self._engine = default_engine()
        self._blocks, self._per_block, self._name, self._branch = blocks, per_block, name, branch
        self._keys = [_Key(self._engine, number) for number in range(KEYS_COUNT)]
        self._tree = BlockTree(REGTEST)
        self._tip = self._tree.genesis
        self._fans: list[Tx] = []

    def _mine(self, txs: Sequence[Tx], fees: int, extra_nonce: int = 0) -> Block:
        time = START_TIME + (self._tip.height + 1) * SPACING_S
        block = build_block(self._tip, txs, fees, self._keys[0].script, time, REGTEST, extra_nonce)
        header = solve(block.header, 1 << 20)
        assert header is not None
        self._tip = self._tree.add(header)
        return make_block(header, block.txs)

    def base(self) -> Iterator[bytes]:
        """Coinbases until there are enough mature ones, then their division into coins."""
        fans = -(-self._blocks * self._per_block // FAN_OUT)
        coinbases = []
        for _ in range(COINBASE_MATURITY + fans):
            block = self._mine((), 0)
            coinbases.append(block.txs[0])
            yield block.raw
        for number in range(fans):
            outputs = tuple(
                TxOut(COIN_SAT, self._keys[(number * FAN_OUT + i) % KEYS_COUNT].script) for i in range(FAN_OUT)
            )
            fan = self._spend(coinbases[number], number + 1, 0, self._keys[0], outputs, is_coinbase=True)
            fees = coinbases[number].outputs[0].value - COIN_SAT * FAN_OUT
            self._fans.append(fan)
            yield self._mine((fan,), fees).raw

    def payments(self) -> Iterator[bytes]:
        """Each block's payments spend the base's coins, in order."""
        number = 0
        for _ in range(self._blocks):
            txs = []
            for _ in range(self._per_block):
                fan, index = self._fans[number // FAN_OUT], number % FAN_OUT
                key = self._keys[number % KEYS_COUNT]
                paid = p2wpkh_script(sha256(b"%s %d" % (self._name.encode(), number))[:20])
                outputs = (TxOut(COIN_SAT // 2, paid), TxOut(COIN_SAT // 2 - FEE_SAT, key.script))
                txs.append(self._spend(fan, 1, index, key, outputs))
                number += 1
            yield self._mine(txs, FEE_SAT * self._per_block, self._branch).raw

    def _spend(
        self, source: Tx, height: int, index: int, key: _Key, outputs: tuple[TxOut, ...], is_coinbase: bool = False
    ) -> Tx:
        point = outpoint(source.txid, index)
        coin = Coin.make(height, is_coinbase, source.outputs[index])
        bare = make_tx(2, (TxIn(point, b"", SEQUENCE_FINAL),), outputs, 0)
        signed = self._engine.sign_ecdsa(key.secret, Spend(bare, (coin,)).signature_hash(0, SIGHASH_ALL))
        witness = (encode_der(signed) + bytes((SIGHASH_ALL,)), key.public)
        return make_tx(2, (TxIn(point, b"", SEQUENCE_FINAL, witness),), outputs, 0)


def decoded(raws: Sequence[bytes]) -> list[Block]:
    """The blocks that these are."""
    return [decode_block(raw) for raw in raws]
