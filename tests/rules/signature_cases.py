"""ECDSA signatures and keys: every way to dress them, by witness and by scriptSig."""

from chain.errors import Reject
from chain.keys import ORDER, encode_der
from chain.scripttype import ScriptType
from tests.rules.case import Case, Stricter
from tests.rules.signing import (
    ECDSA_TYPES,
    FAILS,
    HYBRID,
    KEY,
    PKH,
    UNCOMPRESSED,
    UNSUPPORTED,
    VERIFY,
    WPKH,
    WRONG_HYBRID,
    Dress,
    opened,
    strict,
)


def high_s(compact: bytes, hash_type: int) -> bytes:
    s = ORDER - int.from_bytes(compact[32:], "big")
    return strict(compact[:32] + s.to_bytes(32, "big"), hash_type)


def flipped(bit: int) -> Dress:
    """One bit of r||s is wrong."""

    def dress(compact: bytes, hash_type: int) -> bytes:
        number = int.from_bytes(compact, "big") ^ (1 << bit)
        return strict(number.to_bytes(64, "big"), hash_type)

    return dress


def der(r: bytes, s: bytes, tail: bytes = b"") -> bytes:
    """DER of two integers as they are, padded or not."""
    body = b"\x02" + bytes([len(r)]) + r + b"\x02" + bytes([len(s)]) + s
    return b"\x30" + bytes([len(body)]) + body + tail


def minimal(number: bytes) -> bytes:
    """The shortest two's complement of a positive number."""
    digits = number.lstrip(b"\x00") or b"\x00"
    return b"\x00" + digits if digits[0] & 0x80 else digits


def halves(compact: bytes) -> tuple[bytes, bytes]:
    return minimal(compact[:32]), minimal(compact[32:])


def padded_r(compact: bytes, hash_type: int) -> bytes:
    r, s = halves(compact)
    return der(b"\x00" + r, s) + bytes([hash_type])


def padded_s(compact: bytes, hash_type: int) -> bytes:
    r, s = halves(compact)
    return der(r, b"\x00" + s) + bytes([hash_type])


def negative_r(compact: bytes, hash_type: int) -> bytes:
    return der(b"\x80" + compact[1:32], minimal(compact[32:])) + bytes([hash_type])


def trailing(compact: bytes, hash_type: int) -> bytes:
    return encode_der(compact) + b"\x00" + bytes([hash_type])


def long_form(compact: bytes, hash_type: int) -> bytes:
    plain = encode_der(compact)
    return b"\x30\x81" + plain[1:] + bytes([hash_type])


def ber_length(compact: bytes, hash_type: int) -> bytes:
    plain = encode_der(compact)
    return b"\x30" + bytes([plain[1] + 1]) + plain[2:] + bytes([hash_type])


def exactly(content: bytes) -> Dress:
    """Something else altogether."""
    return lambda _compact, _hash_type: content


def numbers(r: int, s: int) -> Dress:
    """Strict DER of two given numbers."""
    content = (minimal(n.to_bytes(33, "big")) for n in (r, s))
    return exactly(der(*content) + b"\x01")


DRESSES: list[tuple[str, Dress, Reject | None, Stricter | None]] = [
    ("strict DER", strict, None, None),
    ("high S", high_s, UNSUPPORTED, Stricter.HIGH_S),
    ("a bit of r wrong", flipped(256), VERIFY, None),
    ("a bit of s wrong", flipped(0), VERIFY, None),
    ("r with a leading zero", padded_r, VERIFY, None),
    ("s with a leading zero", padded_s, VERIFY, None),
    ("r negative", negative_r, VERIFY, None),
    ("a byte after the DER", trailing, VERIFY, None),
    ("DER lengths in long form", long_form, VERIFY, None),
    ("a DER length too large", ber_length, VERIFY, None),
    ("no signature", exactly(b""), VERIFY, None),
    ("a hash type and no signature", exactly(b"\x01"), VERIFY, None),
    ("nine bytes of nonsense", exactly(b"\x30\x06\x02\x01\x01\x02\x01\x01\x01"), VERIFY, None),
    ("r = 0", numbers(0, 1), VERIFY, None),
    ("s = 0", numbers(1, 0), VERIFY, None),
    ("r = order", numbers(ORDER, 1), VERIFY, None),
    ("s = order", numbers(1, ORDER), UNSUPPORTED, None),
    ("r of 33 bytes", numbers(2**256, 1), VERIFY, None),
    ("no hash type", lambda compact, _: encode_der(compact), VERIFY, None),
]
# Without a hash type the last byte of s is taken for one, and the DER is a byte short.


def coarser(
    kind: ScriptType, name: str, expect: Reject | None, stricter: Stricter | None
) -> tuple[Reject | None, str | None]:
    """Our code and, where Core refuses in other words, Core's: high S before anything about the
    curve, and a P2PKH spend without a signature is none that we know."""
    if (kind, name) == (PKH, "no signature"):
        expect = UNSUPPORTED
    return expect, FAILS if expect is UNSUPPORTED and stricter is None else None


def envelope_cases() -> list[Case]:
    """Every way to dress a signature, by witness and by scriptSig."""
    cases = [
        Case(f"{kind.name}: {name}", opened(kind, dress), *coarser(kind, name, expect, stricter), stricter=stricter)
        for kind in (WPKH, PKH)
        for name, dress, expect, stricter in DRESSES
    ]
    for kind in (WPKH, PKH):
        for hash_type in ECDSA_TYPES:
            cases.append(Case(f"{kind.name}: hash type {hash_type:02x}", opened(kind, hash_type=hash_type), None))
        for hash_type in (0x00, 0x04, 0x05, 0x1F, 0x21, 0x23, 0x41, 0x43, 0x80, 0x84, 0xC1, 0xFF):
            cases.append(
                Case(
                    f"{kind.name}: undefined hash type {hash_type:02x}",
                    opened(kind, hash_type=hash_type),
                    UNSUPPORTED,
                    stricter=Stricter.HASH_TYPE,
                )
            )
        cases += [
            Case(f"{kind.name}: another hash type than signed", opened(kind, lambda c, _: strict(c, 2)), VERIFY),
            Case(
                f"{kind.name}: uncompressed key",
                opened(kind, public=UNCOMPRESSED),
                UNSUPPORTED,
                stricter=Stricter.KEY_FORM,
            ),
            Case(f"{kind.name}: hybrid key", opened(kind, public=HYBRID), UNSUPPORTED, stricter=Stricter.KEY_FORM),
            # Core takes the key for what it is, no key, and says so; we do not look that far.
            Case(
                f"{kind.name}: hybrid key of the other parity",
                opened(kind, public=WRONG_HYBRID),
                UNSUPPORTED,
                core=FAILS,
            ),
            Case(f"{kind.name}: key of 34 bytes", opened(kind, public=KEY.public + b"\x00"), UNSUPPORTED, core=FAILS),
            Case(f"{kind.name}: key of 32 bytes", opened(kind, public=KEY.public[1:]), UNSUPPORTED, core=FAILS),
            Case(f"{kind.name}: key of no bytes", opened(kind, public=b""), UNSUPPORTED, core=FAILS),
            Case(f"{kind.name}: x on no point", opened(kind, public=b"\x02" + (5).to_bytes(32, "big")), VERIFY),
            Case(f"{kind.name}: x above the field", opened(kind, public=b"\x02" + b"\xff" * 32), VERIFY),
            Case(
                f"{kind.name}: the other key of this x",
                opened(kind, public=bytes([5 - KEY.public[0]]) + KEY.public[1:]),
                VERIFY,
            ),
        ]
    return cases


CASES = envelope_cases()
