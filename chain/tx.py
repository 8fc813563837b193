"""Transactions: BIP144 bytes to values and back. Knows no rule but the encoding."""

from struct import Struct
from struct import error as StructError
from typing import NewType

from chain.codec import TWO_BYTES, malformed, read_varint, varbytes, varint
from chain.frozen import value
from chain.hashes import Txid, Wtxid, sha256d, to_hex

OutPoint = NewType("OutPoint", bytes)
"""A coin's name as its 36 wire bytes: txid, output index (4 bytes, little endian)."""

from_bytes = int.from_bytes

COIN = 100_000_000
"""Satoshis in a coin."""
MAX_MONEY = 21_000_000 * COIN
"""No amount or sum of amounts is above this, in satoshis."""
NULL_OUTPOINT = OutPoint(bytes(32) + b"\xff\xff\xff\xff")
"""The outpoint of a coinbase's input: null."""
SEQUENCE_FINAL = 0xFFFF_FFFF
WITNESS_SCALE = 4
"""Weight of a stripped byte, in weights of a witness byte (BIP141)."""


def outpoint(txid: Txid, index: int) -> OutPoint:
    """The name of output `index` of transaction `txid`."""
    return OutPoint(txid + index.to_bytes(4, "little"))


def outpoint_txid(point: OutPoint) -> Txid:
    """The transaction that made the coin."""
    return Txid(point[:32])


def outpoint_index(point: OutPoint) -> int:
    """Index of the output that the coin is."""
    return int.from_bytes(point[32:], "little")


def format_outpoint(point: OutPoint) -> str:
    """An outpoint for people: display txid, colon, index."""
    return f"{to_hex(outpoint_txid(point))}:{outpoint_index(point)}"


@value
class TxIn:
    outpoint: OutPoint
    """The coin spent."""
    script_sig: bytes
    """Empty in segwit spends."""
    sequence: int
    """32 bits: relative lock (BIP68), replacement signal (BIP125)."""
    witness: tuple[bytes, ...] = ()
    """The items that segwit spends prove themselves with."""


@value
class TxOut:
    value: int
    """Satoshis; signed 64 bits on the wire, so that a check can refuse the negative."""
    script: bytes
    """The scriptPubKey: the lock."""


@value
class Tx:
    version: int
    """32 bits, read as unsigned (BIP68)."""
    inputs: tuple[TxIn, ...]
    outputs: tuple[TxOut, ...]
    lock_time: int
    """Height below 500,000,000, else Unix time in seconds."""
    txid: Txid
    wtxid: Wtxid
    raw: bytes
    """The whole encoding, witnesses included."""
    stripped_size: int
    """Size in bytes without marker, flag and witnesses."""
    outputs_raw: bytes
    """The outputs' encodings one after the other, without their count, for signature hashes."""

    @property
    def size(self) -> int:
        """Bytes with witnesses."""
        return len(self.raw)

    @property
    def weight(self) -> int:
        """Weight units (BIP141)."""
        return self.stripped_size * (WITNESS_SCALE - 1) + len(self.raw)

    @property
    def vsize(self) -> int:
        """Virtual bytes: weight / 4, rounded up."""
        return (self.weight + WITNESS_SCALE - 1) // WITNESS_SCALE

    @property
    def has_witness(self) -> bool:
        """True if any input carries witness items."""
        return len(self.raw) != self.stripped_size

    @property
    def is_coinbase(self) -> bool:
        """True for the transaction that makes new coins: one input that spends nothing."""
        return len(self.inputs) == 1 and self.inputs[0].outpoint == NULL_OUTPOINT


def make_tx(version: int, inputs: tuple[TxIn, ...], outputs: tuple[TxOut, ...], lock_time: int) -> Tx:
    """Encode the parts and name the whole."""
    ins = b"".join(i.outpoint + varbytes(i.script_sig) + i.sequence.to_bytes(4, "little") for i in inputs)
    outs = b"".join(encode_output(o) for o in outputs)
    head, tail = version.to_bytes(4, "little"), lock_time.to_bytes(4, "little")
    body = varint(len(inputs)) + ins + varint(len(outputs)) + outs
    stripped = raw = head + body + tail
    if any(i.witness for i in inputs):
        stacks = b"".join(varint(len(i.witness)) + b"".join(map(varbytes, i.witness)) for i in inputs)
        raw = head + b"\x00\x01" + body + stacks + tail
    return Tx(
        version, inputs, outputs, lock_time, Txid(sha256d(stripped)), Wtxid(sha256d(raw)), raw, len(stripped), outs
    )


def encode_output(output: TxOut) -> bytes:
    """Value (8 bytes), then the script with its length."""
    return output.value.to_bytes(8, "little", signed=True) + varbytes(output.script)


def decode_tx(raw: bytes) -> Tx:
    """The one transaction that `raw` is. Raises Invalid(MALFORMED), also on trailing bytes."""
    try:
        tx, end = read_tx(raw, 0)
    except TRUNCATED:
        raise malformed("transaction is truncated") from None
    if end != len(raw):
        raise malformed(f"{len(raw) - end} bytes after the transaction")
    return tx


def decode_stripped_tx(raw: bytes) -> Tx:
    """The one transaction that `raw` is, in the encoding of before BIP144, in which one without
    inputs has bytes that would else announce witnesses. Raises Invalid(MALFORMED)."""
    try:
        spends, pos = _read_spends(raw, 4)
        outputs, _, pos = _read_outputs(raw, pos)
    except TRUNCATED:
        raise malformed("transaction is truncated") from None
    if pos + 4 != len(raw):
        raise malformed("the transaction ends elsewhere than its bytes")
    inputs = tuple([TxIn(point, script, sequence) for point, script, sequence in spends])
    return make_tx(from_bytes(raw[:4], "little"), inputs, outputs, from_bytes(raw[pos:], "little"))


TRUNCATED = (IndexError, StructError, OverflowError)
"""Errors of `read_tx` where its bytes end too soon: an offset may be beyond any size that there is."""


def read_tx(raw: bytes, pos: int) -> tuple[Tx, int]:
    """The transaction that starts at `pos`, and the position after it.

    Raises Invalid(MALFORMED); one of TRUNCATED where `raw` ends too soon. Slices by hand, and asks
    `read_varint` only for what is no single byte: this and `connect_block` are where a node spends
    its time.
    """
    start = pos
    body = pos = pos + 4
    segwit = raw[pos] == 0 and raw[pos + 1] != 0
    if segwit:
        if raw[pos + 1] != 1:
            raise malformed("unknown flag byte")
        body = pos = pos + 2
    spends, pos = _read_spends(raw, pos)
    if not spends and not segwit:
        # Core reads 00 00 as no inputs and no outputs; check_tx then has the say.
        outputs: tuple[TxOut, ...] = ()
        outputs_start = pos = pos + 1
    else:
        outputs, outputs_start, pos = _read_outputs(raw, pos)
    outputs_end = pos
    if segwit:
        inputs, pos = _read_witnesses(raw, pos, spends)
    else:
        inputs = tuple([TxIn(point, script, sequence) for point, script, sequence in spends])
    end = pos + 4
    if end > len(raw):
        raise IndexError
    whole = raw[start:end]
    stripped = raw[start : start + 4] + raw[body:outputs_end] + raw[pos:end] if segwit else whole
    txid = sha256d(stripped)
    tx = Tx(
        from_bytes(raw[start : start + 4], "little"),
        inputs,
        outputs,
        from_bytes(raw[pos:end], "little"),
        Txid(txid),
        Wtxid(sha256d(whole) if segwit else txid),
        whole,
        len(stripped),
        raw[outputs_start:outputs_end],
    )
    return tx, end


def first_outpoint(raw: bytes, pos: int) -> OutPoint:
    """The outpoint of the first input of the transaction at `pos`, as long as it has fewer than 253 inputs.

    For looking it up; of other bytes it gives others. Raises IndexError where `raw` ends before.
    """
    inputs = pos + (6 if raw[pos + 4] == 0 else 4)
    return OutPoint(raw[inputs + 1 : inputs + 37])


_Spends = list[tuple[OutPoint, bytes, int]]
"""Outpoint, scriptSig and sequence of each input: their witnesses come later."""


def _read_spends(raw: bytes, pos: int) -> tuple[_Spends, int]:
    count, pos = read_varint(raw, pos)
    spends: _Spends = []
    for _ in range(count):
        length, script = raw[pos + 36], pos + 37
        if length >= TWO_BYTES:
            length, script = read_varint(raw, pos + 36)
        end = script + length
        spends.append((OutPoint(raw[pos : pos + 36]), raw[script:end], from_bytes(raw[end : end + 4], "little")))
        pos = end + 4
    return spends, pos


def _read_outputs(raw: bytes, pos: int) -> tuple[tuple[TxOut, ...], int, int]:
    count, pos = read_varint(raw, pos)
    start = pos
    outputs = []
    for _ in range(count):
        value, length = _VALUE_AND_LENGTH(raw, pos)
        script = pos + 9
        if length >= TWO_BYTES:
            length, script = read_varint(raw, pos + 8)
        pos = script + length
        outputs.append(TxOut(value, raw[script:pos]))
    return tuple(outputs), start, pos


def _read_witnesses(raw: bytes, pos: int, spends: _Spends) -> tuple[tuple[TxIn, ...], int]:
    inputs = []
    superfluous = True
    for point, script, sequence in spends:
        count, pos = read_varint(raw, pos)
        items = []
        for _ in range(count):
            length, item = raw[pos], pos + 1
            if length >= TWO_BYTES:
                length, item = read_varint(raw, pos)
            pos = item + length
            items.append(raw[item:pos])
        if items:
            superfluous = False
        inputs.append(TxIn(point, script, sequence, tuple(items)))
    if superfluous:
        raise malformed("superfluous witness record")
    return tuple(inputs), pos


_VALUE_AND_LENGTH = Struct("<qB").unpack_from
"""An output's value and the first byte of its script's length."""
