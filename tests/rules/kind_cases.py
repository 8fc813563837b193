"""Coins of other kinds: payable, and not spendable here."""

from chain.hashes import hash160, sha256
from chain.scripttype import p2pkh_script, p2wpkh_script
from chain.tx import Tx, TxOut
from tests import sighash
from tests.chainlab import (
    ENGINE,
    key,
    push,
)
from tests.rules.case import Case, Stricter, Unlock, spend_of
from tests.rules.signing import FAILS, KEY, UNCOMPRESSED, UNSUPPORTED, ecdsa, strict


def nothing(_tx: Tx, _spent: TxOut) -> tuple[bytes, tuple[bytes, ...]]:
    return b"", ()


def p2pk(public: bytes) -> tuple[bytes, Unlock]:
    def unlock(tx: Tx, spent: TxOut) -> tuple[bytes, tuple[bytes, ...]]:
        return push(strict(ecdsa(tx, spent, 1), 1)), ()

    return push(public) + b"\xac", unlock


def multisig() -> tuple[bytes, Unlock]:
    """1 of 2, bare."""

    def unlock(tx: Tx, spent: TxOut) -> tuple[bytes, tuple[bytes, ...]]:
        return b"\x00" + push(strict(ecdsa(tx, spent, 1), 1)), ()

    return b"\x51" + push(KEY.public) + push(key(1).public) + b"\x52\xae", unlock


def p2sh(redeem: bytes, witness: bool = False) -> tuple[bytes, Unlock]:
    """A script behind its hash; with `witness`, P2WPKH of key 0 inside P2SH."""

    def unlock(tx: Tx, spent: TxOut) -> tuple[bytes, tuple[bytes, ...]]:
        if not witness:
            return push(redeem), ()
        digest = sighash.segwit_v0(tx, 0, p2pkh_script(redeem[2:]), spent.value, 1)
        return push(redeem), (strict(ENGINE.sign_ecdsa(KEY.secret, digest), 1), KEY.public)

    return b"\xa9" + push(hash160(redeem)) + b"\x87", unlock


def p2wsh(script: bytes) -> tuple[bytes, Unlock]:
    return b"\x00" + push(sha256(script)), lambda *_: (b"", (script,))


def accepted_elsewhere(name: str, script: bytes, unlock: Unlock = nothing) -> Case:
    """A kind of lock that Core lets be opened."""
    return Case(f"spends {name}", spend_of(script, unlock), UNSUPPORTED, stricter=Stricter.SCRIPT_KIND)


def refused_elsewhere(name: str, script: bytes, unlock: Unlock = nothing) -> Case:
    """A kind of lock that stays shut in Core too; we say only that we do not know it."""
    return Case(f"spends {name}", spend_of(script, unlock), UNSUPPORTED, core=FAILS)


CASES = [
    accepted_elsewhere("P2PK", *p2pk(KEY.public)),
    accepted_elsewhere("P2PK of an uncompressed key", *p2pk(UNCOMPRESSED)),
    accepted_elsewhere("bare multisig", *multisig()),
    accepted_elsewhere("P2SH", *p2sh(b"\x51")),
    accepted_elsewhere("P2WPKH inside P2SH", *p2sh(p2wpkh_script(hash160(KEY.public)), witness=True)),
    accepted_elsewhere("P2WSH", *p2wsh(b"\x51")),
    accepted_elsewhere("a bare OP_TRUE", b"\x51"),
    accepted_elsewhere("an empty script", b"", lambda *_: (b"\x51", ())),
    accepted_elsewhere("pay to anchor", bytes.fromhex("51024e73")),
    accepted_elsewhere("witness version 2", b"\x52" + push(b"\x01" * 32)),
    accepted_elsewhere("witness version 1 with 33 bytes", b"\x51" + push(b"\x01" * 33)),
    accepted_elsewhere("witness version 16", b"\x60" + push(b"\x01" * 2)),
    accepted_elsewhere("41 bytes after a version: no witness program", b"\x51" + push(b"\x01" * 41)),
    refused_elsewhere("witness version 2 of nothing but zeros", b"\x52" + push(bytes(32))),
    refused_elsewhere("witness version 0 with 21 bytes", b"\x00" + push(bytes(21))),
    refused_elsewhere("P2WSH without its script", b"\x00" + push(sha256(b"\x51"))),
    refused_elsewhere("P2SH without its script", b"\xa9" + push(hash160(b"\x51")) + b"\x87"),
    refused_elsewhere("a bare OP_FALSE", b"\x00"),
    refused_elsewhere("a script that is cut off", b"\x4b\x51"),
    refused_elsewhere("an operator that is switched off", b"\x51\x51\x95"),
]
