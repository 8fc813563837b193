"""Seeded random blocks and spends: whatever this node accepts, Bitcoin Core's engine accepts.

And the other way round: what only this node refuses, it refuses for a reason on the list.
"""

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from chain.block import Block, decode_block, make_block
from chain.coins import Coin
from chain.connect import SEQUENCE_BY_TIME, height_push
from chain.errors import Invalid, Reject, Rejected
from chain.keys import ORDER, encode_der
from chain.script import HASH_TYPES, Spend
from chain.scripttype import ScriptType, classify, p2pkh_script
from chain.tx import OutPoint, Tx, TxOut, decode_tx
from tests import sighash
from tests.chainlab import (
    ENGINE,
    FEE,
    KINDS,
    Lab,
    Owned,
    committed,
    funded,
    lock,
    made_by,
    owner,
    pay,
    push,
    reblock,
    remade,
    with_coinbase,
    with_input,
    with_output,
)
from tests.oracle.kernel import Kernel, pbk
from tests.taproot import taproot_secret

BYTE_MUTANTS = 900
SIGNED_BLOCKS = 450
SPEND_MUTANTS = 6_000
OURS_ALONE = {Reject.SCRIPT_UNSUPPORTED, Reject.TX_SIZE_SMALL}
"""The codes that refuse what Core accepts."""


class Judges:
    """This node and the engine on one chain, held against each other; what both take moves both."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.kernel = Kernel().follow(lab.blocks)
        self.outcomes: Counter[str] = Counter()

    def judge(self, raw: bytes) -> None:
        """Both verdicts on one block on the tip."""
        code: Reject | None = None
        try:
            self.lab.verdict(raw)
        except Rejected as refused:
            code = Reject(refused.code)
        theirs = self.kernel.submit(raw)
        self.outcomes[str(code)] += 1
        if not theirs.accepted:
            assert code is not None, f"laxer than Core ({theirs.detail}): {raw.hex()}"
        elif code is None:
            self.lab.accept(decode_block(raw))
        else:
            self.kernel.close()
            self.kernel = Kernel().follow(self.lab.blocks)
            assert code in OURS_ALONE, f"{code}, accepted by Core: {raw.hex()}"


@pytest.fixture
def judges() -> Iterator[Judges]:
    pair = Judges(funded())
    yield pair
    pair.kernel.close()


# bytes


def mutate_bytes(raw: bytes, rng: random.Random, start: int) -> bytes:
    """One to three bytes flipped, put in, taken out, or a piece repeated, from `start` on."""
    mutant = bytearray(raw)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if len(mutant) <= start:
            break
        at = rng.randrange(start, len(mutant))
        match rng.choice([0, 0, 0, 1, 1, 2, 3, 4]):
            case 0:
                mutant[at] ^= 1 << rng.randrange(8)
            case 1:
                mutant[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFD, 0xFF])
            case 2:
                mutant.insert(at, rng.randrange(256))
            case 3:
                del mutant[at]
            case _:
                width = rng.randrange(1, 40)
                mutant[at:at] = mutant[at : at + width]
    return bytes(mutant)


def honest_blocks(lab: Lab) -> list[Block]:
    """Blocks on one tip with spends of all kinds, the loosest hash types among them."""
    lab = lab.copy()
    mixed = pay([*lab.take(), *lab.take(ScriptType.P2PKH), *lab.take(ScriptType.P2TR)])
    loose = pay(
        [*lab.take(), *lab.take(ScriptType.P2PKH), *lab.take(ScriptType.P2TR)],
        [TxOut(1000, lock(kind)) for kind in KINDS],
        hash_types=[0x82, 0x83, 0x82],
        sequences=[5, 6, 7],
        version=1,
    )
    legacy = pay(lab.take(ScriptType.P2PKH, 2), hash_types=[0x02, 0x82])
    return [
        lab.candidate([mixed]),
        lab.candidate([loose, pay([made_by(loose, 2)])]),
        lab.candidate([legacy]),
        lab.candidate(),
    ]


def remade_header(raw: bytes, *, commit: bool) -> bytes | None:
    """The mutant under a header of its own, with the commitment right if asked; None if impossible."""
    try:
        block = decode_block(raw)
    except Invalid:
        return None
    txs = block.txs
    if commit and txs and txs[0].outputs and txs[0].inputs:
        txs = committed(txs)
    return reblock(block, txs).raw if txs else None


def test_mutated_bytes(judges: Judges) -> None:
    rng = random.Random(413_567)
    tip, honest = judges.lab.tip, honest_blocks(judges.lab)
    for turn in range(BYTE_MUTANTS):
        if judges.lab.tip is not tip:
            tip, honest = judges.lab.tip, honest_blocks(judges.lab)
        block = honest[turn % len(honest)]
        raw = mutate_bytes(block.raw, rng, 0 if turn % 9 == 0 else 80)
        if turn % 3:
            raw = remade_header(raw, commit=turn % 3 == 1) or raw
        judges.judge(raw)
    assert judges.outcomes["None"] >= 10, judges.outcomes  # some have to be good, or nothing was tested
    assert len(judges.outcomes) >= 12, judges.outcomes


# signed blocks


class Writer:
    """Draws blocks that are signed and solved, with every number near one of its edges."""

    def __init__(self, lab: Lab, rng: random.Random) -> None:
        self.lab = lab
        self.rng = rng

    def block(self) -> Block:
        """One to three payments, and at times an odd coinbase or header."""
        lab, rng = self.lab.copy(), self.rng
        txs: list[Tx] = []
        for _ in range(rng.randint(1, 3)):
            txs.append(self._payment(lab, txs))
        if rng.random() < 0.05:
            rng.shuffle(txs)
        block = lab.candidate(txs)
        if rng.random() < 0.25:
            block = with_coinbase(block, self._coinbase)
        if rng.random() < 0.15:
            block = self._header(block)
        return block

    def _payment(self, lab: Lab, before: list[Tx]) -> Tx:
        rng = self.rng
        owned: list[Owned] = []
        for _ in range(rng.randint(1, 3)):
            owned += lab.take(rng.choice(KINDS))
        fresh = [made_by(tx, i, lab.height + 1) for tx in before for i in range(len(tx.outputs))]
        children = [one for one in fresh if owner(one.coin.script)]
        if children and rng.random() < 0.4:
            owned[0] = rng.choice(children)
        if rng.random() < 0.1:
            owned[0] = self._coinbase_coin(lab)
        total = sum(one.coin.value for one in owned)
        count = rng.randint(1, 3)
        amounts = [max(0, total // count + rng.choice([-FEE, -1, 0, 0, 1])) for _ in range(count)]
        outputs = [TxOut(amount, self._script()) for amount in amounts]
        sequences = [self._sequence() for _ in owned]
        hash_types = [self._hash_type(one.coin, i < count) for i, one in enumerate(owned)]
        tx = pay(
            owned,
            outputs,
            version=rng.choice([0, 1, 1, 2, 2, 3, 2**31, 2**32 - 1]),
            lock_time=self._lock_time(),
            sequences=sequences,
            hash_types=hash_types,
        )
        return self._alter(tx) if rng.random() < 0.15 else tx

    def _coinbase_coin(self, lab: Lab) -> Owned:
        depth = self.rng.choice([98, 99, 99, 100, 100, 101])
        tx = lab.blocks[lab.height - depth].txs[0]
        point = OutPoint(tx.txid + bytes(4))
        return Owned(point, Coin.make(lab.height - depth + 1, True, tx.outputs[0]))

    def _script(self) -> bytes:
        odd = [b"", b"\x6a", b"\x51", b"\xac" * 30, b"\x51" * 10_000, b"\x51" * 10_001, b"\xae" * 999]
        return self.rng.choice(odd) if self.rng.random() < 0.2 else lock(self.rng.choice(KINDS))

    def _sequence(self) -> int:
        number = self.rng.choice([0, 1, 1, 2, 3, 98, 0xFFFF])
        flags = self.rng.choice([0, 0, SEQUENCE_BY_TIME, 1 << 31, 1 << 16])
        return self.rng.choice([2**32 - 1, 2**32 - 1, 2**32 - 2, number | flags])

    def _lock_time(self) -> int:
        near = self.rng.choice([self.lab.height + 1, self.lab.tip.median_time, 500_000_000])
        return self.rng.choice([0, 0, 0, max(0, near + self.rng.choice([-1, 0, 1]))])

    def _hash_type(self, coin: Coin, has_output: bool) -> int | None:
        hash_type = self.rng.choice([None, None, *sorted(HASH_TYPES)])
        return hash_type if hash_type is None or hash_type & 3 != 3 or has_output else None

    def _alter(self, tx: Tx) -> Tx:
        """A change after signing."""
        rng = self.rng
        match rng.randrange(6):
            case 0:
                return remade(tx, lock_time=0)
            case 1:
                return remade(tx, version=2)
            case 2:
                return with_output(tx, 0, value=max(0, tx.outputs[0].value - 1))
            case 3:
                return with_input(tx, 0, sequence=self._sequence())
            case 4:
                return remade(tx, outputs=tx.outputs[:1])
            case _:
                return remade(tx, inputs=tx.inputs[::-1])

    def _coinbase(self, tx: Tx) -> Tx:
        rng = self.rng
        match rng.randrange(5):
            case 0:
                return with_output(tx, 0, value=tx.outputs[0].value + rng.choice([-1, 0, 1]))
            case 1:
                return with_input(
                    tx, 0, script_sig=height_push(self.lab.height + 1) + b"\xac" * rng.choice([0, 1, 97, 98, 99])
                )
            case 2:
                return remade(with_input(tx, 0, sequence=self._sequence()), lock_time=self._lock_time())
            case 3:
                return remade(tx, outputs=(*tx.outputs, TxOut(0, tx.outputs[-1].script[: rng.choice([36, 37, 38])])))
            case _:
                return remade(tx, version=rng.choice([0, 1, 2**32 - 1]))

    def _header(self, block: Block) -> Block:
        rng = self.rng
        match rng.randrange(3):
            case 0:
                return reblock(block, time=self.lab.tip.median_time + rng.choice([-1, 0, 1, 2]))
            case 1:
                return reblock(block, version=rng.choice([3, 4, -1, 2**31 - 1]))
            case _:
                return make_block(block.header, (*block.txs, block.txs[-1]))


def test_signed_blocks_with_every_number_near_an_edge(judges: Judges) -> None:
    writer = Writer(judges.lab, random.Random(20_081_031))
    for _ in range(SIGNED_BLOCKS):
        judges.judge(writer.block().raw)
    assert judges.outcomes["None"] >= SIGNED_BLOCKS // 20, judges.outcomes
    assert len(judges.outcomes) >= 12, judges.outcomes


# spends


def core_accepts(tx: Tx, coin: Coin) -> bool:
    """Core's script interpreter on the only input of a transaction, under all consensus flags."""
    flags = pbk.ScriptVerificationFlags.ALL
    decoded = pbk.Transaction(tx.raw)
    output = pbk.TransactionOutput(pbk.ScriptPubkey(coin.script), coin.value)
    shared = pbk.script.PrecomputedTransactionData(decoded, [output])
    try:
        return bool(pbk.ScriptPubkey(coin.script).verify(coin.value, decoded, shared, 0, flags))
    except pbk.ScriptVerifyException:
        return False


def signed_anew(tx: Tx, coin: Coin, rng: random.Random) -> Tx:
    """The only input signed with any hash type, at times with high S, an annex, or an odd push."""
    holder, spent = owner(coin.script), TxOut(coin.value, coin.script)
    assert holder is not None
    hash_type = rng.choice([*range(256), 1, 2, 3, 0x81, 0x82, 0x83] if rng.random() < 0.5 else [1])
    if classify(coin.script) is ScriptType.P2TR:
        annex = rng.choice([None, None, b"\x50", b"\x50more"])
        digest = sighash.taproot(tx, 0, [spent], hash_type, annex=annex)
        made = ENGINE.sign_schnorr(taproot_secret(ENGINE, holder.secret), digest)
        made += bytes([hash_type]) if hash_type or rng.random() < 0.3 else b""
        return with_input(tx, witness=(made,) if annex is None else (made, annex))
    by_witness = classify(coin.script) is ScriptType.P2WPKH
    if by_witness:
        digest = sighash.segwit_v0(tx, 0, p2pkh_script(coin.script[2:]), coin.value, hash_type)
    else:
        digest = sighash.legacy(tx, 0, coin.script, hash_type)
    compact = ENGINE.sign_ecdsa(holder.secret, digest)
    if rng.random() < 0.2:
        compact = compact[:32] + (ORDER - int.from_bytes(compact[32:], "big")).to_bytes(32, "big")
    made = encode_der(compact) + bytes([hash_type])
    if by_witness:
        return with_input(tx, witness=(made, holder.public))
    long_push = b"\x4c" if rng.random() < 0.1 else b""
    extra = rng.choice([b"", b"", b"", b"\x00", b"\x51", b"\x61"])
    return with_input(tx, script_sig=extra + long_push + push(made) + push(holder.public))


def mutate_spend(tx: Tx, rng: random.Random) -> Tx:
    """Signature, key or their envelope changed by a byte or a piece."""
    spent = tx.inputs[0]
    if spent.script_sig and rng.random() < 0.9:
        return with_input(tx, script_sig=mutate_bytes(spent.script_sig, rng, 0))
    items = list(spent.witness) or [b""]
    match rng.randrange(8):
        case 0:
            items.insert(rng.randrange(len(items) + 1), rng.choice([b"", b"\x50", b"\x01"]))
        case 1:
            del items[rng.randrange(len(items))]
        case 2:
            return with_input(tx, script_sig=rng.choice([b"\x00", b"\x51"]))
        case _:
            at = rng.randrange(len(items))
            items[at] = mutate_bytes(items[at] or b"\x00", rng, 0)
    return with_input(tx, witness=tuple(items))


def test_mutated_spends() -> None:
    """Two in three signed anew in some way, two in three changed by a byte or a piece."""
    rng, outcomes = random.Random(1_971), Counter[str]()
    lab = funded()
    spends = []
    for kind in KINDS:
        for hash_type in (None, *sorted(HASH_TYPES)):
            [owned] = lab.take(kind)
            spends.append((pay([owned], hash_types=[hash_type]), owned.coin))
    for turn in range(SPEND_MUTANTS):
        tx, coin = spends[turn % len(spends)]
        mutant = signed_anew(tx, coin, rng) if rng.random() < 0.67 else tx
        if rng.random() < 0.67:
            mutant = mutate_spend(mutant, rng)
        code: Reject | None = None
        try:
            if not ENGINE.verify(Spend(mutant, [coin]).check(0)):
                code = Reject.SCRIPT_VERIFY
        except Invalid as refused:
            code = Reject(refused.code)
        accepted = core_accepts(mutant, coin)
        outcomes[f"{code}, {accepted}"] += 1
        if accepted:
            assert code in (None, Reject.SCRIPT_UNSUPPORTED), mutant.raw.hex()
        else:
            assert code is not None, mutant.raw.hex()
    assert len(outcomes) == 4, outcomes  # good, wrong, and unsupported in both ways
    assert min(outcomes.values()) >= SPEND_MUTANTS // 20, outcomes


def test_what_is_fed_to_core_is_the_same_transaction() -> None:
    lab = funded()
    tx = pay(lab.take(ScriptType.P2TR))
    assert bytes(pbk.Transaction(tx.raw)) == tx.raw == decode_tx(tx.raw).raw
