"""The wallet file's contents: what it says in clear, and the words sealed by the password. Pure
but for fresh salts.

The file is one JSON object:

    groat_wallet  2, the format's version (wallet.state reads version 1 too)
    network       {"name", "id"}: which network the wallet is for
    xpub          the account's extended public key
    seal          how the words are encrypted, and the ciphertext (see `Seal`)
    state         what the wallet remembers between commands (wallet.state)

The password guards spending. It does not hide what the wallet has: the extended public key and
our own unsent payments are in clear, so that `balance`, `address`, `history` and `coins` ask for
no password. Whoever reads the file sees every address; whoever has no password spends nothing.
The clear part that matters is bound to the ciphertext: the right password does not open a file
whose network or extended public key was changed.
"""

import json
import os
import unicodedata
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from wallet.errors import DamagedFile, WalletError, WrongPassword
from wallet.fields import Fields, parse_json
from wallet.state import VERSION

SEAL_VERSION = 1
"""Version of the sealed part, which is bound to it."""
KEY_BYTES, SALT_BYTES, NONCE_BYTES = 32, 16, 12
WORDS_BYTES_MAX = 1_024
XPUB_CHARS_MAX = 128
NAME_CHARS_MAX = 32
TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one guess of the password (scrypt, RFC 7914): 128 * n * r bytes, p times."""

    n: int = 2**15
    r: int = 8
    p: int = 1


NEW_COST = Cost()
"""Cost of new wallets' passwords."""
COST_N_MAX, COST_R_MAX, COST_P_MAX = 2**20, 16, 8
"""A file that asks for more than these is refused: opening it could take all memory, or years."""
COST_BYTES_MAX = 2**30


@dataclass(frozen=True, slots=True)
class Seal:
    """The words, encrypted with ChaCha20-Poly1305 under a key that scrypt makes of the password."""

    cost: Cost
    salt: bytes
    nonce: bytes
    ciphertext: bytes
    """The JSON object {"words"}, and the tag."""


@dataclass(frozen=True, slots=True)
class WalletIdentity:
    """A wallet's unchanging facts."""

    network: str
    """The network's name."""
    network_id: bytes
    """32 bytes: the hash of the network's parameters and genesis."""
    xpub: str


@dataclass(frozen=True, slots=True)
class Keystore:
    """A decoded wallet file; wallet.state reads the rest."""

    identity: WalletIdentity
    seal: Seal
    state: Fields
    """The wallet's state as JSON, for wallet.state to read."""
    version: int
    """Version of the format of `state`."""


def seal_words(words: str, password: str, identity: WalletIdentity, cost: Cost | None = None) -> Seal:
    """Encrypt the words; `cost` is NEW_COST but in tests."""
    cost = cost or NEW_COST
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    key = _stretch(password, salt, cost)
    secret = json.dumps({"words": words}).encode()
    return Seal(cost, salt, nonce, ChaCha20Poly1305(key).encrypt(nonce, secret, _bound(identity, cost)))


def open_words(seal: Seal, password: str, identity: WalletIdentity) -> str:
    """The words. Raises WrongPassword, also where the file's identity was tampered with."""
    key = _stretch(password, seal.salt, seal.cost)
    try:
        secret = ChaCha20Poly1305(key).decrypt(seal.nonce, seal.ciphertext, _bound(identity, seal.cost))
    except InvalidTag as error:
        raise WrongPassword("wrong password (or the wallet file was changed by something else)") from error
    return Fields(parse_json(secret), "the sealed part").text("words", WORDS_BYTES_MAX)


def _stretch(password: str, salt: bytes, cost: Cost) -> bytes:
    # One password typed on two systems may come as different code points.
    try:
        typed = unicodedata.normalize("NFC", password).encode()
    except UnicodeEncodeError as error:  # bytes of the environment that are not text
        raise WalletError("the password is not UTF-8 text") from error
    return Scrypt(salt=salt, length=KEY_BYTES, n=cost.n, r=cost.r, p=cost.p).derive(typed)


def _bound(identity: WalletIdentity, cost: Cost) -> bytes:
    """Additional data that the ciphertext is bound to besides the password."""
    facts = [SEAL_VERSION, identity.network, identity.network_id.hex(), identity.xpub, cost.n, cost.r, cost.p]
    return json.dumps(facts).encode()


def encode_keystore(identity: WalletIdentity, seal: Seal, state: object) -> bytes:
    """The file's bytes. `state` is what wallet.state made ready for JSON."""
    document = {
        "groat_wallet": VERSION,
        "network": {"name": identity.network, "id": identity.network_id.hex()},
        "xpub": identity.xpub,
        "seal": {
            "kdf": "scrypt",
            "n": seal.cost.n,
            "r": seal.cost.r,
            "p": seal.cost.p,
            "salt": seal.salt.hex(),
            "cipher": "chacha20-poly1305",
            "nonce": seal.nonce.hex(),
            "ciphertext": seal.ciphertext.hex(),
        },
        "state": state,
    }
    return json.dumps(document).encode() + b"\n"


def decode_keystore(content: bytes) -> Keystore:
    """The wallet file that `content` is. Raises DamagedFile."""
    try:
        document = parse_json(content)
    except ValueError as error:
        raise DamagedFile(f"it does not parse ({error})") from error
    if not isinstance(document, dict) or "groat_wallet" not in document:
        raise DamagedFile("it is not a groat wallet")
    version = document["groat_wallet"]
    if type(version) is not int or not 1 <= version <= VERSION:
        raise DamagedFile(f"its format is {str(version)[:20]!r} and this program reads {VERSION}: update groat")
    fields = Fields(document, "the file")
    network, seal = fields.object("network"), fields.object("seal")
    identity = WalletIdentity(
        network.text("name", NAME_CHARS_MAX), network.content("id", 32, 32), fields.text("xpub", XPUB_CHARS_MAX)
    )
    return Keystore(identity, _decode_seal(seal), fields.object("state"), version)


def _decode_seal(fields: Fields) -> Seal:
    cost = Cost(
        fields.integer("n", 2, COST_N_MAX), fields.integer("r", 1, COST_R_MAX), fields.integer("p", 1, COST_P_MAX)
    )
    if cost.n & (cost.n - 1) or 128 * cost.n * cost.r > COST_BYTES_MAX:
        raise DamagedFile("the seal's scrypt parameters are out of range")
    if fields.text("kdf", 32) != "scrypt" or fields.text("cipher", 32) != "chacha20-poly1305":
        raise DamagedFile("the seal's kdf or cipher is unknown to this program")
    return Seal(
        cost,
        fields.content("salt", SALT_BYTES, SALT_BYTES),
        fields.content("nonce", NONCE_BYTES, NONCE_BYTES),
        fields.content("ciphertext", TAG_BYTES, WORDS_BYTES_MAX),
    )
