"""The only place that touches a curve library: signatures, public keys, taproot tweaks.

Two engines behind one interface, passed as an argument. Everything that decides (strict DER,
low S, key format) is checked by our own code before either engine, so that both decide alike.
"""

import hashlib
from typing import Any, NewType, Protocol

from ecdsa import SECP256k1, SigningKey, VerifyingKey, ellipticcurve, numbertheory, util
from ecdsa.errors import MalformedPointError
from ecdsa.keys import BadSignatureError

from chain.hashes import tagged_hash

try:
    from coincurve._libsecp256k1 import ffi, lib
    from coincurve.context import GLOBAL_CONTEXT
except ImportError:  # no wheel for this system: the Python engine remains
    lib = None

Check = NewType("Check", bytes)
"""One signature to verify, 129 bytes: kind (0: BIP340; 2, 3: ECDSA under a key of that parity),
the key's x (32), the signature r and s (64), the digest (32)."""
CHECK_SIZE = 129
BIP340 = 0

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""Order of the curve: its number of points."""
HALF_ORDER_BYTES = (ORDER // 2).to_bytes(32, "big")
DER_MAX = 72
"""Bytes of the longest strict DER signature, hash type left out."""


class Engine(Protocol):
    """Curve arithmetic. Digests and secrets are 32 bytes, signatures r||s 64, big endian."""

    name: str

    def verify(self, check: Check) -> bool:
        """True if the signature is right. Never raises on bad keys or signatures."""
        ...

    def first_failure(self, checks: bytes) -> int | None:
        """The index of the first wrong one of checks laid end to end, or None."""
        ...

    def public_key(self, secret: bytes) -> bytes:
        """The compressed public key, 33 bytes. Raises ValueError on an impossible secret."""
        ...

    def sign_ecdsa(self, secret: bytes, digest: bytes) -> bytes:
        """r||s with low S, by RFC 6979: the same input always gives the same signature."""
        ...

    def sign_schnorr(self, secret: bytes, digest: bytes, aux: bytes = bytes(32)) -> bytes:
        """A BIP340 signature; `aux` is its auxiliary randomness."""
        ...

    def add_to_public(self, public_key: bytes, secret: bytes) -> bytes:
        """The compressed sum of a compressed key and secret*G (BIP32). Raises ValueError where there is none."""
        ...

    def tweak_public(self, x: bytes, tweak: bytes) -> tuple[bytes, int]:
        """x and parity of lift_x(x) + tweak*G (BIP341). Raises ValueError if x is on no point."""
        ...


def ecdsa_check(public_key: bytes, signature: bytes, digest: bytes) -> Check:
    """The check of an ECDSA signature r||s under a compressed key."""
    return Check(public_key + signature + digest)


def schnorr_check(x: bytes, signature: bytes, digest: bytes) -> Check:
    """The check of a BIP340 signature under an x-only key."""
    return Check(b"\x00" + x + signature + digest)


def decode_der(der: bytes) -> bytes | None:
    """r||s of a strict DER signature (BIP66, hash type left out), or None.

    Integers above 32 bytes are well-formed DER and no signature: they come out as zeros, which
    never verify.
    """
    size = len(der)
    if not 8 <= size <= DER_MAX or der[0] != 0x30 or der[1] != size - 2 or der[2] != 0x02:
        return None
    r_size = der[3]
    if r_size == 0 or 5 + r_size >= size or der[4 + r_size] != 0x02:
        return None
    s_size = der[5 + r_size]
    if s_size == 0 or 6 + r_size + s_size != size:
        return None
    r, s = _strict_integer(der[4 : 4 + r_size]), _strict_integer(der[6 + r_size :])
    return None if r is None or s is None else r + s


def _strict_integer(content: bytes) -> bytes | None:
    """32 bytes of a DER integer that is not negative and has no needless leading zero."""
    first = content[0]
    if first and first < 0x80 and len(content) == 32:
        return content  # what half of them look like
    if first >= 0x80 or (len(content) > 1 and first == 0 and content[1] < 0x80):
        return None
    digits = content.lstrip(b"\x00")
    return digits.rjust(32, b"\x00") if len(digits) <= 32 else bytes(32)


def encode_der(signature: bytes) -> bytes:
    """Strict DER of r||s."""
    parts = b""
    for half in (signature[:32], signature[32:]):
        digits = half.lstrip(b"\x00") or b"\x00"
        if digits[0] & 0x80:
            digits = b"\x00" + digits
        parts += bytes((0x02, len(digits))) + digits
    return bytes((0x30, len(parts))) + parts


def is_low_s(signature: bytes) -> bool:
    """True if s of r||s is in the lower half (BIP62's rule, BIP146)."""
    return signature[32:] <= HALF_ORDER_BYTES


class _Libsecp256k1:
    """Bitcoin Core's own library, called raw: no Python object per key or signature."""

    name = "libsecp256k1"

    def __init__(self) -> None:
        if lib is None:
            raise ImportError("coincurve is not installed")
        self._context = GLOBAL_CONTEXT.ctx

    def verify(self, check: Check) -> bool:
        return self.first_failure(check) is None

    def first_failure(self, checks: bytes) -> int | None:
        context = self._context
        # Buffers of this call's own: threads may share the engine.
        key, signature = ffi.new("secp256k1_pubkey *"), ffi.new("secp256k1_ecdsa_signature *")
        x_only = ffi.new("secp256k1_xonly_pubkey *")
        for index, start in enumerate(range(0, len(checks), CHECK_SIZE)):
            if checks[start] == BIP340:
                right = lib.secp256k1_xonly_pubkey_parse(
                    context, x_only, checks[start + 1 : start + 33]
                ) and lib.secp256k1_schnorrsig_verify(
                    context, checks[start + 33 : start + 97], checks[start + 97 : start + 129], 32, x_only
                )
            else:
                right = (
                    lib.secp256k1_ec_pubkey_parse(context, key, checks[start : start + 33], 33)
                    and lib.secp256k1_ecdsa_signature_parse_compact(context, signature, checks[start + 33 : start + 97])
                    and lib.secp256k1_ecdsa_verify(context, signature, checks[start + 97 : start + 129], key)
                )
            if not right:
                return index
        return None

    def public_key(self, secret: bytes) -> bytes:
        key = ffi.new("secp256k1_pubkey *")
        _check_sizes(secret)
        if not lib.secp256k1_ec_pubkey_create(self._context, key, secret):
            raise ValueError("not a secret key")
        return self._serialise(key)

    def sign_ecdsa(self, secret: bytes, digest: bytes) -> bytes:
        signature, out = ffi.new("secp256k1_ecdsa_signature *"), ffi.new("unsigned char[64]")
        null = ffi.NULL
        _check_sizes(secret, digest)
        if not lib.secp256k1_ecdsa_sign(self._context, signature, digest, secret, null, null):
            raise ValueError("not a secret key")
        lib.secp256k1_ecdsa_signature_serialize_compact(self._context, out, signature)
        return bytes(ffi.buffer(out))

    def sign_schnorr(self, secret: bytes, digest: bytes, aux: bytes = bytes(32)) -> bytes:
        pair, out = ffi.new("secp256k1_keypair *"), ffi.new("unsigned char[64]")
        _check_sizes(secret, digest, aux)
        if not lib.secp256k1_keypair_create(self._context, pair, secret):
            raise ValueError("not a secret key")
        lib.secp256k1_schnorrsig_sign32(self._context, out, digest, pair, aux)
        return bytes(ffi.buffer(out))

    def add_to_public(self, public_key: bytes, secret: bytes) -> bytes:
        key = ffi.new("secp256k1_pubkey *")
        _secret_number(secret)
        if not lib.secp256k1_ec_pubkey_parse(self._context, key, public_key, len(public_key)):
            raise ValueError("not a public key")
        if not lib.secp256k1_ec_pubkey_tweak_add(self._context, key, secret):
            raise ValueError("no sum")
        return self._serialise(key)

    def tweak_public(self, x: bytes, tweak: bytes) -> tuple[bytes, int]:
        internal, output = ffi.new("secp256k1_xonly_pubkey *"), ffi.new("secp256k1_pubkey *")
        _check_sizes(x, tweak)
        if not lib.secp256k1_xonly_pubkey_parse(self._context, internal, x):
            raise ValueError("not an x-only public key")
        if not lib.secp256k1_xonly_pubkey_tweak_add(self._context, output, internal, tweak):
            raise ValueError("not a tweak")
        key = self._serialise(output)
        return key[1:], key[0] & 1

    def _serialise(self, key: Any) -> bytes:
        out, size = ffi.new("unsigned char[33]"), ffi.new("size_t *", 33)
        compressed = lib.SECP256K1_EC_COMPRESSED
        lib.secp256k1_ec_pubkey_serialize(self._context, out, size, key, compressed)
        return bytes(ffi.buffer(out))


def _check_sizes(*parts: bytes) -> None:
    """The library reads 32 bytes whatever it is given."""
    if any(len(part) != 32 for part in parts):
        raise ValueError("secrets, digests, keys and tweaks have 32 bytes")


_FIELD = SECP256k1.curve.p()
_G = SECP256k1.generator


class _Python:
    """Portable and some 50 times slower. Its signing leaks timing (CVE-2024-23342): a
    fallback, not a choice."""

    name = "python"

    def verify(self, check: Check) -> bool:
        if check[0] == BIP340:
            return _verify_schnorr(check[1:33], check[33:97], check[97:129])
        if not is_low_s(check[33:97]):
            return False  # as libsecp256k1
        try:
            key = VerifyingKey.from_string(check[:33], SECP256k1)
            return bool(key.verify_digest(check[33:97], check[97:129]))
        except (MalformedPointError, BadSignatureError):
            return False
        except TypeError:  # the package stumbles where the sum is the point at infinity: no x, no signature
            return False

    def first_failure(self, checks: bytes) -> int | None:
        for start in range(0, len(checks), CHECK_SIZE):
            if not self.verify(Check(checks[start : start + CHECK_SIZE])):
                return start // CHECK_SIZE
        return None

    def public_key(self, secret: bytes) -> bytes:
        return _compress(_G * _secret_number(secret))

    def sign_ecdsa(self, secret: bytes, digest: bytes) -> bytes:
        _secret_number(secret)
        key = SigningKey.from_string(secret, SECP256k1)
        signature: bytes = key.sign_digest_deterministic(digest, hashlib.sha256, util.sigencode_string_canonize)
        return signature

    def sign_schnorr(self, secret: bytes, digest: bytes, aux: bytes = bytes(32)) -> bytes:
        d = _secret_number(secret)
        point = _compress(_G * d)
        if point[0] == 3:
            d = ORDER - d
        masked = d ^ int.from_bytes(tagged_hash("BIP0340/aux", aux), "big")
        seed = tagged_hash("BIP0340/nonce", masked.to_bytes(32, "big") + point[1:] + digest)
        k = int.from_bytes(seed, "big") % ORDER
        nonce_point = _compress(_G * k)
        if nonce_point[0] == 3:
            k = ORDER - k
        e = _challenge(nonce_point[1:], point[1:], digest)
        return nonce_point[1:] + ((k + e * d) % ORDER).to_bytes(32, "big")

    def add_to_public(self, public_key: bytes, secret: bytes) -> bytes:
        number = _secret_number(secret)
        try:
            point = VerifyingKey.from_string(public_key, SECP256k1).pubkey.point
        except MalformedPointError:
            raise ValueError("not a public key") from None
        moved = point + _G * number
        if moved == ellipticcurve.INFINITY:
            raise ValueError("no sum")
        return _compress(moved)

    def tweak_public(self, x: bytes, tweak: bytes) -> tuple[bytes, int]:
        lifted = _lift_x(int.from_bytes(x, "big"))
        number = int.from_bytes(tweak, "big")
        if lifted is None or number >= ORDER:
            raise ValueError("not an x-only public key" if lifted is None else "not a tweak")
        moved = lifted + _G * number if number else lifted
        if moved == ellipticcurve.INFINITY:
            raise ValueError("not a tweak")
        key = _compress(moved)
        return key[1:], key[0] & 1


def _secret_number(secret: bytes) -> int:
    number = int.from_bytes(secret, "big")
    if len(secret) != 32 or not 0 < number < ORDER:
        raise ValueError("not a secret key")
    return number


def _compress(point: Any) -> bytes:
    return bytes((2 + (point.y() & 1),)) + int(point.x()).to_bytes(32, "big")


def _lift_x(x: int) -> Any:
    """The point with this x and an even y, or None (BIP340)."""
    if x >= _FIELD:
        return None
    try:
        y = numbertheory.square_root_mod_prime((pow(x, 3, _FIELD) + 7) % _FIELD, _FIELD)
    except numbertheory.SquareRootError:
        return None
    return ellipticcurve.PointJacobi(SECP256k1.curve, x, y if y % 2 == 0 else _FIELD - y, 1, ORDER)


def _challenge(nonce_x: bytes, x: bytes, digest: bytes) -> int:
    return int.from_bytes(tagged_hash("BIP0340/challenge", nonce_x + x + digest), "big") % ORDER


def _verify_schnorr(x: bytes, signature: bytes, digest: bytes) -> bool:
    point = _lift_x(int.from_bytes(x, "big"))
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if point is None or r >= _FIELD or s >= ORDER:
        return False
    e = _challenge(signature[:32], x, digest)
    nonce_point = point * (ORDER - e) if e else ellipticcurve.INFINITY
    nonce_point = _G * s + nonce_point if s else nonce_point
    if nonce_point == ellipticcurve.INFINITY:
        return False
    return bool(nonce_point.y() % 2 == 0 and nonce_point.x() == r)


def libsecp256k1_engine() -> Engine:
    """Bitcoin Core's library. Raises ImportError where coincurve is not installed."""
    return _Libsecp256k1()


def python_engine() -> Engine:
    """The portable one."""
    return _Python()


def default_engine() -> Engine:
    """libsecp256k1, or where it cannot be had the portable one."""
    try:
        return libsecp256k1_engine()
    except ImportError:
        return python_engine()


def add_secrets(first: bytes, second: bytes) -> bytes:
    """The sum of two secrets modulo the order (BIP32); `second` may be zero. Raises ValueError where there is none."""
    number = (_secret_number(first) + int.from_bytes(second, "big")) % ORDER
    if not number:
        raise ValueError("not a secret key")
    return number.to_bytes(32, "big")


def is_x_only(x: bytes) -> bool:
    """True if these 32 bytes are the x of a point: what pays to any other x is lost (BIP340)."""
    if len(x) != 32:
        return False
    if lib is None:
        return _lift_x(int.from_bytes(x, "big")) is not None
    return bool(lib.secp256k1_xonly_pubkey_parse(GLOBAL_CONTEXT.ctx, ffi.new("secp256k1_xonly_pubkey *"), x))
