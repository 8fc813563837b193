"""A chain in a test tube: keys, signed payments, mined blocks, and the verdict on any block.

A `Lab` is a branch of blocks with its coins in a dict and its headers in a `BlockTree`, moved
by `chain/` alone. It starts empty (`Lab()`) or with mature coins of every kind (`funded()`);
`copy()` gives a test its own to break. Nothing here reads a clock or a random source: the same
calls give the same bytes.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from chain.block import (
    COMMITMENT_PREFIX,
    Block,
    Header,
    commitment_hash,
    decode_block,
    make_block,
    make_header,
    merkle_root,
)
from chain.blocktemplate import build_block, solve
from chain.blocktree import BlockNode, BlockTree
from chain.codec import varbytes
from chain.coins import Coin, CoinLookup
from chain.connect import Connected
from chain.errors import Invalid, Reject
from chain.hashes import hash160, sha256
from chain.keys import Engine, default_engine, encode_der
from chain.params import COINBASE_MATURITY, GENESIS, REGTEST, Params
from chain.script import SIGHASH_ALL, SIGHASH_DEFAULT, Spend
from chain.scripttype import ScriptType, classify, p2pkh_script, p2tr_script, p2wpkh_script
from chain.tx import MAX_MONEY, NULL_OUTPOINT, SEQUENCE_FINAL, OutPoint, Tx, TxIn, TxOut, make_tx, outpoint
from chain.validate import validate_block
from tests.taproot import taproot_output, taproot_secret

ENGINE = default_engine()
KINDS = (ScriptType.P2WPKH, ScriptType.P2PKH, ScriptType.P2TR)
"""What can be spent, in the order that coins are handed out."""
START_TIME = 1_600_000_000
"""Unix time of the first block made here. In the past, so that Bitcoin Core takes it too."""
SPACING_S = 600
NOW = START_TIME + 1000 * SPACING_S
"""What `verdict` takes for the present: after every block made here."""
HASHES_MAX = 1 << 24
FEE = 1000
"""Satoshis that a payment leaves to the miner unless it says otherwise."""


# keys


class Key(NamedTuple):
    """A secret and what is public about it."""

    secret: bytes
    public: bytes
    """Compressed, 33 bytes."""
    scripts: dict[ScriptType, bytes]
    """The scriptPubKeys it opens."""


KEYS_COUNT = 12


@functools.cache
def key(number: int) -> Key:
    """One of a dozen keys; numbers wrap around."""
    if number >= KEYS_COUNT:
        return key(number % KEYS_COUNT)
    secret = sha256(b"groat test key %d" % number)
    public = ENGINE.public_key(secret)
    hashed = hash160(public)
    scripts = {
        ScriptType.P2WPKH: p2wpkh_script(hashed),
        ScriptType.P2PKH: p2pkh_script(hashed),
        ScriptType.P2TR: p2tr_script(taproot_output(ENGINE, public[1:])),
    }
    return Key(secret, public, scripts)


def lock(kind: ScriptType = ScriptType.P2WPKH, number: int = 0) -> bytes:
    """A scriptPubKey that one of the keys opens."""
    return key(number).scripts[kind]


@functools.cache
def _owners() -> dict[bytes, Key]:
    return {script: key(n) for n in range(KEYS_COUNT) for script in key(n).scripts.values()}


def owner(script: bytes) -> Key | None:
    """Whoever opens this scriptPubKey, if it is one of the keys here."""
    return _owners().get(script)


# transactions


class Owned(NamedTuple):
    """A coin that a key here opens."""

    point: OutPoint
    coin: Coin


def push(content: bytes) -> bytes:
    """A direct push, for 1 to 75 bytes."""
    assert 1 <= len(content) <= 75
    return bytes((len(content),)) + content


def remade(tx: Tx, **changes: Any) -> Tx:
    """The same transaction with some of version, inputs, outputs, lock_time changed."""
    parts = {name: getattr(tx, name) for name in ("version", "inputs", "outputs", "lock_time")}
    assert not changes.keys() - parts.keys()
    return make_tx(**{**parts, **changes})


def with_input(tx: Tx, index: int = 0, **changes: Any) -> Tx:
    """The same transaction with some of an input's outpoint, script_sig, sequence, witness changed."""
    spent = tx.inputs[index]
    parts = {name: getattr(spent, name) for name in ("outpoint", "script_sig", "sequence", "witness")}
    assert not changes.keys() - parts.keys()
    return remade(tx, inputs=(*tx.inputs[:index], TxIn(**{**parts, **changes}), *tx.inputs[index + 1 :]))


def with_output(tx: Tx, index: int = 0, **changes: Any) -> Tx:
    """The same transaction with an output's value or script changed."""
    made = tx.outputs[index]
    output = TxOut(changes.pop("value", made.value), changes.pop("script", made.script))
    assert not changes
    return remade(tx, outputs=(*tx.outputs[:index], output, *tx.outputs[index + 1 :]))


def signature(tx: Tx, coins: Sequence[Coin], index: int, hash_type: int | None = None) -> bytes:
    """What input `index` signs with, hash type included: DER, or 64 to 65 bytes for taproot."""
    kind = classify(coins[index].script)
    holder = owner(coins[index].script)
    assert holder is not None, "not a coin of the keys here"
    if hash_type is None:
        hash_type = SIGHASH_DEFAULT if kind is ScriptType.P2TR else SIGHASH_ALL
    digest = Spend(tx, coins).signature_hash(index, hash_type)
    if kind is ScriptType.P2TR:
        signed = ENGINE.sign_schnorr(taproot_secret(ENGINE, holder.secret), digest)
        return signed + (bytes((hash_type,)) if hash_type else b"")
    return encode_der(ENGINE.sign_ecdsa(holder.secret, digest)) + bytes((hash_type,))


def sign(tx: Tx, coins: Sequence[Coin], hash_types: Sequence[int | None] = ()) -> Tx:
    """`tx` with every input signed by the owner of its coin."""
    signed = tx
    for index, coin in enumerate(coins):
        made = signature(tx, coins, index, hash_types[index] if hash_types else None)
        holder = owner(coin.script)
        assert holder is not None
        kind = classify(coin.script)
        if kind is ScriptType.P2PKH:
            signed = with_input(signed, index, script_sig=push(made) + push(holder.public))
        else:
            witness = (made,) if kind is ScriptType.P2TR else (made, holder.public)
            signed = with_input(signed, index, witness=witness)
    return signed


def pay(
    owned: Sequence[Owned],
    outputs: Sequence[TxOut] | None = None,
    *,
    version: int = 2,
    lock_time: int = 0,
    sequences: Sequence[int] | None = None,
    hash_types: Sequence[int | None] = (),
    fee: int = FEE,
) -> Tx:
    """A signed transaction that spends `owned`; without `outputs`, all but `fee` to key 0's P2WPKH."""
    if outputs is None:
        outputs = (TxOut(sum(coin.value for _, coin in owned) - fee, lock()),)
    sequences = sequences or [SEQUENCE_FINAL] * len(owned)
    inputs = tuple(TxIn(one.point, b"", sequence) for one, sequence in zip(owned, sequences, strict=True))
    return sign(make_tx(version, inputs, tuple(outputs), lock_time), [coin for _, coin in owned], hash_types)


def made_by(tx: Tx, index: int = 0, height: int = 0) -> Owned:
    """An output of `tx` as a coin, for a payment that follows in the same block."""
    return Owned(outpoint(tx.txid, index), Coin.make(height, False, tx.outputs[index]))


# blocks


def solved(header: Header) -> Header:
    """The header with a nonce that meets its own bits."""
    found = solve(header, HASHES_MAX)
    assert found is not None
    return found


def unsolved(header: Header) -> Header:
    """The header with a nonce that does not meet its own bits."""
    target_top = 0x7F if header.bits == REGTEST.pow_limit_bits else 0
    nonce = 0
    while header.hash[31] <= target_top:
        nonce += 1
        header = with_header(header, nonce=nonce)
    return header


def branch(count: int, base: Header = GENESIS.header, seed: int = 0, spacing_s: int = 600) -> list[Header]:
    """Headers that stand on `base`, with nothing behind them but their own work."""
    found: list[Header] = []
    for number in range(count):
        root = sha256(b"%d %d" % (seed, number))
        base = solved(make_header(4, base.hash, root, base.time + spacing_s, REGTEST.pow_limit_bits, 0))
        found.append(base)
    return found


def with_header(header: Header, **changes: Any) -> Header:
    """The same header with some fields changed; not solved again."""
    parts = {name: getattr(header, name) for name in ("version", "prev_hash", "merkle_root", "time", "bits", "nonce")}
    assert not changes.keys() - parts.keys()
    return make_header(**{**parts, **changes})


def reblock(block: Block, txs: Iterable[Tx] | None = None, **changes: Any) -> Block:
    """The block with other transactions and header fields, its merkle root right, solved again.

    The witness commitment stays what the coinbase says: see `committed`.
    """
    everything = block.txs if txs is None else tuple(txs)
    changes.setdefault("merkle_root", merkle_root([tx.txid for tx in everything])[0])
    return make_block(solved(with_header(block.header, **changes)), everything)


def committed(txs: Sequence[Tx], reserved: bytes = bytes(32)) -> tuple[Tx, ...]:
    """The transactions with the coinbase's last output replaced by the right commitment."""
    coinbase = with_input(txs[0], witness=(reserved,))
    script = COMMITMENT_PREFIX + commitment_hash((coinbase, *txs[1:]), reserved)
    return (with_output(coinbase, len(coinbase.outputs) - 1, value=0, script=script), *txs[1:])


def with_coinbase(block: Block, change: Callable[[Tx], Tx]) -> Block:
    """The block with its coinbase changed, solved again."""
    return reblock(block, (change(block.txs[0]), *block.txs[1:]))


# the chain


def judge(
    raw: bytes, tree: BlockTree, lookup: CoinLookup, now: int, *, engine: Engine = ENGINE
) -> tuple[Block, Connected]:
    """The verdict of `chain/` on the bytes of a block, whose parent's coins `lookup` sees.

    Raises Rejected. Changes nothing.
    """
    block = decode_block(raw)
    known = tree.get(block.hash)
    if known is not None and known.invalid:
        raise Invalid(Reject.DUPLICATE_INVALID)
    parent = tree.get(block.header.prev_hash)
    return block, validate_block(
        block, parent, lookup, now, tree.params, lambda checks: engine.first_failure(b"".join(checks))
    )


class Lab:
    """A branch of blocks, the coins at its end, and the tree of all headers seen."""

    def __init__(self, params: Params = REGTEST, now: int = NOW) -> None:
        self.params = params
        self.now = now
        self.tree = BlockTree(params)
        self.tip: BlockNode = self.tree.genesis
        self.blocks: list[Block] = []
        """From height 1 on."""
        self.coins: dict[OutPoint, Coin] = {}
        self.purse: dict[ScriptType, list[OutPoint]] = {kind: [] for kind in KINDS}
        """Coins of the keys here that nobody has taken yet, oldest first."""

    def copy(self) -> "Lab":
        """The same chain, to go on separately."""
        other = Lab(self.params, self.now)
        for block in self.blocks:
            other.tip = other.tree.add(block.header)
        other.blocks = self.blocks.copy()
        other.coins = self.coins.copy()
        other.purse = {kind: points.copy() for kind, points in self.purse.items()}
        return other

    @property
    def height(self) -> int:
        """Of the tip."""
        return self.tip.height

    def take(self, kind: ScriptType = ScriptType.P2WPKH, count: int = 1) -> list[Owned]:
        """`count` coins of a kind that the next block may spend; nobody gets them again."""
        taken: list[Owned] = []
        for point in list(self.purse[kind]):
            if len(taken) == count:
                break
            coin = self.coins.get(point)
            if coin is None:
                self.purse[kind].remove(point)
            elif not coin.is_coinbase or self.height + 1 - coin.height >= COINBASE_MATURITY:
                self.purse[kind].remove(point)
                taken.append(Owned(point, coin))
        assert len(taken) == count, f"only {len(taken)} coins of {kind}"
        return taken

    def candidate(
        self,
        txs: Sequence[Tx] = (),
        *,
        fees: int | None = None,
        script: bytes | None = None,
        time: int | None = None,
        extra_nonce: int = 0,
        tag: bytes = b"",
    ) -> Block:
        """A solved block on the tip. Fees are summed up where all coins are known, else 0."""
        if fees is None:
            fees = self.fees(txs)
        time = START_TIME + (self.height + 1) * SPACING_S if time is None else time
        script = lock(KINDS[(self.height + 1) % 3], self.height + 1) if script is None else script
        block = build_block(self.tip, txs, fees, script, time, self.params, extra_nonce, tag)
        return make_block(solved(block.header), block.txs)

    def fees(self, txs: Sequence[Tx]) -> int:
        """What these transactions leave to the miner; 0 where that cannot be said."""
        values = {outpoint(tx.txid, i): output.value for tx in txs for i, output in enumerate(tx.outputs)}
        total = 0
        for tx in txs:
            for spent in tx.inputs:
                coin = self.coins.get(spent.outpoint)
                if coin is None and spent.outpoint not in values:
                    return 0
                total += coin.value if coin else values[spent.outpoint]
            total -= sum(output.value for output in tx.outputs)
        return total if 0 <= total <= MAX_MONEY else 0

    def verdict(self, block: Block | bytes, *, engine: Engine = ENGINE) -> Connected:
        """What `chain/` says to a block on the tip (or on another one, if it fails before that
        matters). Raises Rejected. Changes nothing."""
        raw = block if isinstance(block, bytes) else block.raw
        return judge(raw, self.tree, self.coins.get, self.now, engine=engine)[1]

    def accept(self, block: Block) -> Connected:
        """Judge a block and move on to it. Raises Rejected."""
        assert block.header.prev_hash == self.tip.hash
        connected = self.verdict(block)
        self.tip = self.tree.add(block.header)
        self.blocks.append(block)
        for point in connected.delta.spent:
            del self.coins[point]
        self.coins.update(connected.delta.created)
        for point, coin in connected.delta.created.items():
            if owner(coin.script):
                self.purse[classify(coin.script)].append(point)
        return connected

    def mine(self, txs: Sequence[Tx] = (), **options: Any) -> Block:
        """Make a block and move on to it."""
        block = self.candidate(txs, **options)
        self.accept(block)
        return block

    def mine_empty(self, count: int) -> None:
        """That many blocks with nothing but a coinbase."""
        for _ in range(count):
            self.mine()


FUNDED_HEIGHT = 112
SPLIT_INTO = 60
"""Coins of each kind that `funded` comes with, besides coinbases."""


@functools.cache
def _funded() -> Lab:
    lab = Lab()
    lab.mine_empty(FUNDED_HEIGHT - 1)
    splits = []
    for kind in KINDS:
        [coinbase] = lab.take(kind)
        share = (coinbase.coin.value - FEE) // SPLIT_INTO
        splits.append(pay([coinbase], [TxOut(share, lock(kind, n)) for n in range(SPLIT_INTO)]))
    lab.mine(splits)
    # Coinbases that are not mature yet are of no use to `take`: the small coins come first.
    for points in lab.purse.values():
        points.sort(key=lambda point: lab.coins[point].is_coinbase)
    return lab


def funded() -> Lab:
    """A regtest chain of 112 blocks with 60 coins of each kind to spend."""
    return _funded().copy()


def coinbase_input(tx: Tx, script: bytes) -> Tx:
    """The coinbase with another script."""
    return with_input(tx, script_sig=script)


def null_input(script: bytes = b"\x00\x00") -> TxIn:
    """An input as only a coinbase may have it."""
    return TxIn(NULL_OUTPOINT, script, SEQUENCE_FINAL)


def filler(size: int) -> bytes:
    """An OP_RETURN script of exactly `size` bytes, without signature operations."""
    assert size >= 1
    return b"\x6a" + bytes(size - 1)


def data_output(size: int) -> TxOut:
    """An output that pays nothing and makes a transaction longer by 9 or more + `size` bytes."""
    return TxOut(0, filler(size))


def output_size(script_size: int) -> int:
    """Bytes that an output with such a script takes."""
    return 8 + len(varbytes(bytes(script_size)))
