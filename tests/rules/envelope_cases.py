"""ScriptSigs and witnesses: what may lie around signature and key."""

from collections.abc import Callable

from chain.tx import Tx
from tests.chainlab import (
    key,
    push,
    with_input,
)
from tests.rules.case import Case, Stricter
from tests.rules.signing import FAILS, PKH, UNSUPPORTED, VERIFY, WPKH, reshaped, script_sig_as, witness_as


def split_pushes(script_sig: bytes) -> tuple[bytes, bytes]:
    """Signature and key of a P2PKH spend."""
    size = script_sig[0]
    return script_sig[1 : size + 1], script_sig[size + 2 :]


def pushdata(width: int, which: int) -> Callable[[bytes], bytes]:
    """A scriptSig one of whose pushes has its length in more bytes than it needs."""

    def change(script_sig: bytes) -> bytes:
        pushes = [push(part) for part in split_pushes(script_sig)]
        content = pushes[which][1:]
        operator = {1: b"\x4c", 2: b"\x4d", 4: b"\x4e"}[width]
        pushes[which] = operator + len(content).to_bytes(width, "little") + content
        return b"".join(pushes)

    return change


def other_keys(tx: Tx) -> Tx:
    """Signature and key of somebody else, in place of the owner's."""
    stranger = key(7).public
    return with_input(tx, witness=(tx.inputs[0].witness[0], stranger))


CASES = [
    Case("P2WPKH with a scriptSig", reshaped(WPKH, script_sig_as(lambda _: b"\x51")), VERIFY),
    Case("P2WPKH with an empty push in the scriptSig", reshaped(WPKH, script_sig_as(lambda _: b"\x00")), VERIFY),
    Case("P2WPKH with three witness items", reshaped(WPKH, witness_as(lambda w: (b"", *w))), VERIFY),
    Case("P2WPKH with one witness item", reshaped(WPKH, witness_as(lambda w: w[:1])), VERIFY),
    Case("P2WPKH with no witness", reshaped(WPKH, witness_as(lambda _: ())), VERIFY),
    Case("P2WPKH with key and signature swapped", reshaped(WPKH, witness_as(lambda w: w[::-1])), VERIFY),
    Case("P2WPKH with a stranger's key", reshaped(WPKH, other_keys), VERIFY),
    Case(
        "P2WPKH opened as if it were P2PKH",
        reshaped(WPKH, lambda tx: with_input(tx, script_sig=b"".join(map(push, tx.inputs[0].witness)), witness=())),
        VERIFY,
    ),
    Case("P2PKH with a witness", reshaped(PKH, witness_as(lambda _: (b"\x01",))), VERIFY),
    Case(
        "P2PKH with an extra push",
        reshaped(PKH, script_sig_as(lambda s: b"\x51" + s)),
        UNSUPPORTED,
        stricter=Stricter.P2PKH_PUSHES,
    ),
    Case(
        "P2PKH with an extra empty push",
        reshaped(PKH, script_sig_as(lambda s: b"\x00" + s)),
        UNSUPPORTED,
        stricter=Stricter.P2PKH_PUSHES,
    ),
    Case(
        "P2PKH with an operator before the pushes",
        reshaped(PKH, script_sig_as(lambda s: b"\x61" + s)),
        UNSUPPORTED,
        stricter=Stricter.P2PKH_PUSHES,
    ),
    Case(
        "P2PKH with an operator between the pushes",
        reshaped(PKH, script_sig_as(lambda s: push(split_pushes(s)[0]) + b"\x61" + push(split_pushes(s)[1]))),
        UNSUPPORTED,
        stricter=Stricter.P2PKH_PUSHES,
    ),
    *(
        Case(
            f"P2PKH with PUSHDATA{width} for the {what}",
            reshaped(PKH, script_sig_as(pushdata(width, which))),
            UNSUPPORTED,
            stricter=Stricter.P2PKH_PUSHES,
        )
        for width in (1, 2, 4)
        for which, what in enumerate(("signature", "key"))
    ),
    # Core runs the script and fails; we do not run scripts, and only see that it is no such spend.
    Case(
        "P2PKH with a push after the key", reshaped(PKH, script_sig_as(lambda s: s + b"\x51")), UNSUPPORTED, core=FAILS
    ),
    Case("P2PKH with an empty scriptSig", reshaped(PKH, script_sig_as(lambda _: b"")), UNSUPPORTED, core=FAILS),
    Case(
        "P2PKH with a signature only",
        reshaped(PKH, script_sig_as(lambda s: push(split_pushes(s)[0]))),
        UNSUPPORTED,
        core=FAILS,
    ),
    Case(
        "P2PKH with a key only",
        reshaped(PKH, script_sig_as(lambda s: push(split_pushes(s)[1]))),
        UNSUPPORTED,
        core=FAILS,
    ),
    Case(
        "P2PKH with key and signature swapped",
        reshaped(PKH, script_sig_as(lambda s: b"".join(map(push, split_pushes(s)[::-1])))),
        UNSUPPORTED,
        core=FAILS,
    ),
    Case(
        "P2PKH with a last push that is cut off",
        reshaped(PKH, script_sig_as(lambda s: s[:-1])),
        UNSUPPORTED,
        core=FAILS,
    ),
    Case(
        "P2PKH with a stranger's key",
        reshaped(PKH, script_sig_as(lambda s: push(split_pushes(s)[0]) + push(key(7).public))),
        VERIFY,
    ),
    Case(
        "P2PKH opened as if it were P2WPKH",
        reshaped(PKH, lambda tx: with_input(tx, script_sig=b"", witness=split_pushes(tx.inputs[0].script_sig))),
        VERIFY,
    ),
]
