"""A desk with something behind every route: blocks, every kind of script, long histories, a mempool, a peer.

0 ... 112 ─ 113 ─ 114 ─ 115      113 pays every kind of script, 114 pays `busy` 60 times and spends one of 113
           └ stale               the mempool pays `busy` 60 times more, and spends one output of 114
"""

from dataclasses import dataclass

from chain.address import encode_address
from chain.block import Block
from chain.hashes import sha256, to_hex
from chain.scripttype import ScriptType
from chain.tx import Tx, TxOut
from tests.chainlab import Lab, funded, lock, made_by, pay
from tests.node.api.desk import Desk
from tests.node.api.peerlab import Caller

STREAM = "text/event-stream"
"""An answer of this type has no end."""
KEY = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
LONG_KEY = b"\x04" + bytes(range(64))
MULTISIG = b"\x51" + (bytes((33,)) + KEY) * 2 + b"\x52\xae"
PAYMENTS = 60
"""More than two pages of 25, and more than the 50 unconfirmed ones that are listed."""

ZOO: dict[str, tuple[bytes, str, str | None]] = {
    "p2wpkh": (lock(ScriptType.P2WPKH, 1), "v0_p2wpkh", encode_address(lock(ScriptType.P2WPKH, 1))),
    "p2pkh": (lock(ScriptType.P2PKH, 1), "p2pkh", encode_address(lock(ScriptType.P2PKH, 1))),
    "p2tr": (lock(ScriptType.P2TR, 1), "v1_p2tr", encode_address(lock(ScriptType.P2TR, 1))),
    "p2pk": (b"\x21" + KEY + b"\xac", "p2pk", None),
    "p2pk, uncompressed": (b"\x41" + LONG_KEY + b"\xac", "p2pk", None),
    "p2sh": (b"\xa9\x14" + bytes(20) + b"\x87", "p2sh", "2MsFDzHRUAMpjHxKyoEHU3aMCMsVtMqs1PV"),
    "p2wsh": (
        b"\x00\x20" + bytes(32),
        "v0_p2wsh",
        "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq3xueyj",
    ),
    "op_return": (b"\x6a\x02hi", "op_return", None),
    "op_return alone": (b"\x6a", "op_return", None),
    "multisig": (MULTISIG, "unknown", None),
    "witness version 2": (
        bytes.fromhex("5210751e76e8199196d454941c45d1b3a323"),
        "unknown",
        "bcrt1zw508d6qejxtdg4y5r3zarvaryv2wuatf",
    ),
    "witness version 16": (bytes.fromhex("6002751e"), "unknown", "bcrt1sw50qt2uwha"),
    "witness version 1, 20 bytes": (
        b"\x51\x14" + bytes(20),
        "unknown",
        "bcrt1pqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqn5md8r",
    ),
    "witness version 0, 16 bytes": (b"\x00\x10" + bytes(16), "unknown", None),
    "anything": (b"\x51\x87", "unknown", None),
    "a push cut short": (b"\x05\x01", "unknown", None),
    "empty": (b"", "empty", None),
}
"""Scripts: bytes, Esplora's type, the address if it has one (BIP173, BIP350)."""


@dataclass
class Stocked:
    """The desk, and what is where."""

    desk: Desk
    lab: Lab
    zoo: Tx
    """In block 113: an output of each kind, in the order of ZOO."""
    many: Block
    """Number 114."""
    stale: Block
    confirmed: list[Tx]
    """What pays `busy` in block 114, in the block's order."""
    waiting: list[Tx]
    """What pays `busy` in the mempool, oldest first."""
    spender: Tx
    """Spends output 0 of the zoo, in block 114."""
    waiting_spender: Tx
    """Spends output 0 of `spender`, in the mempool: the newest there."""

    @property
    def busy(self) -> bytes:
        """The script of the long history."""
        return lock(number=8)

    @property
    def address(self) -> str:
        """The busy script's."""
        return str(encode_address(self.busy))

    @property
    def script_hash(self) -> str:
        """The busy script's, as paths name it."""
        return sha256(self.busy).hex()

    @property
    def tip(self) -> str:
        return to_hex(self.lab.tip.hash)


def stock(desk: Desk) -> Stocked:
    """Fill a fresh desk."""
    lab = funded()
    [coin] = lab.take()
    share = coin.coin.value // (2 * len(ZOO))
    zoo = pay([coin], [TxOut(share, script) for script, *_ in ZOO.values()], fee=0)
    stale = lab.candidate(extra_nonce=1)
    lab.mine([zoo], script=lock(number=0))
    spender = pay([made_by(zoo, 0, lab.height)], [TxOut(share - 500, lock(number=2))])
    busy = lock(number=8)
    confirmed = [pay(lab.take(kind), [TxOut(10_000 + n, busy)]) for n, kind in enumerate(_kinds(PAYMENTS))]
    many = lab.mine([spender, *confirmed], script=lock(number=0))
    lab.mine(script=lock(number=0))
    desk.give([*lab.blocks[:113], stale, *lab.blocks[113:]])
    waiting = [pay(lab.take(kind), [TxOut(20_000 + n, busy)]) for n, kind in enumerate(_kinds(PAYMENTS))]
    waiting_spender = pay([made_by(spender, 0, lab.height)], [TxOut(share - 1000, lock(number=3))])
    desk.pool(*waiting, waiting_spender)
    desk.make_filters()
    Caller(desk).greet()
    return Stocked(desk, lab, zoo, many, stale, confirmed, waiting, spender, waiting_spender)


def _kinds(count: int) -> list[ScriptType]:
    """Of the coins to be spent: there are 60 of each kind."""
    return [(ScriptType.P2WPKH, ScriptType.P2TR, ScriptType.P2PKH)[n % 3] for n in range(count)]
