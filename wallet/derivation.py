"""Words to keys: BIP39 words, BIP32 derivation, one BIP84 account. Pure.

The account's extended public key derives every address; only signing needs the words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from mnemonic import Mnemonic

from chain.bip32 import HARDENED, TEST_PRIVATE, ExtendedKeyError, decode_extended, encode_extended, master_key
from chain.hashes import hash160
from chain.keys import default_engine
from chain.scripttype import p2wpkh_script
from wallet.errors import WalletError

RECEIVE, CHANGE = 0, 1
"""The two chains of an account: addresses given to others, and our own change."""
GAP_LIMIT = 20
"""Consecutive unused addresses after which a scan ends (BIP44)."""
INDEX_MAX = 2**31 - 1
ACCOUNT_PATH = (84 | HARDENED, 1 | HARDENED, 0 | HARDENED)
"""m/84'/1'/0': the first P2WPKH account of a test network (BIP84)."""
ENTROPY_BYTES = 16
"""Bytes of entropy of new words: 128 bits, 12 words."""
WORD_COUNTS = (12, 15, 18, 21, 24)


@dataclass(frozen=True, slots=True, order=True)
class KeyPath:
    """A key's place in the account."""

    chain: int
    """RECEIVE or CHANGE."""
    index: int


def words_from_entropy(entropy: bytes) -> str:
    """English BIP39 words of 16 to 32 random bytes."""
    return Mnemonic("english").to_mnemonic(entropy)


def check_words(text: str) -> str:
    """The words in BIP39's form (lower case, single spaces). Raises WalletError saying what is wrong."""
    language = Mnemonic("english")
    words = Mnemonic.normalize_string(text).lower().split()
    if len(words) not in WORD_COUNTS:
        raise WalletError(f"{len(words)} words given: BIP39 has 12, 15, 18, 21 or 24")
    known = frozenset(language.wordlist)
    for position, word in enumerate(words, 1):
        if word not in known:
            raise WalletError(f"word {position} is not a BIP39 word{_suggestion(word, language.wordlist)}")
    if not language.check(" ".join(words)):
        raise WalletError("the words' checksum is wrong: check each word, and their order")
    return " ".join(words)


def _suggestion(word: str, wordlist: Sequence[str]) -> str:
    # The word itself is not repeated: error texts end up in logs.
    close = get_close_matches(word, wordlist, n=1)
    return f": did you mean {close[0]!r}?" if close else ""


def seed_from_words(words: str, passphrase: str = "") -> bytes:
    """The 64-byte BIP39 seed."""
    return Mnemonic.to_seed(words, passphrase)


class Account:
    """The public half of an account: derives scripts, cannot spend."""

    def __init__(self, xpub: str) -> None:
        """`xpub` is the account's extended public key. Raises WalletError if it is none."""
        try:
            account = decode_extended(xpub)
            self._engine = default_engine()
            self._chains = [account.child(chain, self._engine) for chain in (RECEIVE, CHANGE)]
        except ExtendedKeyError as error:
            raise WalletError(
                "the wallet's extended public key is not one: restore the wallet from its words"
            ) from error
        self.xpub = xpub
        self._scripts: dict[KeyPath, bytes] = {}
        self._paths: dict[bytes, KeyPath] = {}
        self._derived = {RECEIVE: 0, CHANGE: 0}

    def script(self, path: KeyPath) -> bytes:
        """The P2WPKH scriptPubKey of the key at `path`."""
        script = self._scripts.get(path)
        if script is None:
            public_key = self._chains[path.chain].child(path.index, self._engine).public_key(self._engine)
            script = self._scripts[path] = p2wpkh_script(hash160(public_key))
            self._paths[script] = path
        return script

    def derive(self, chain: int, count: int) -> None:
        """Make the first `count` scripts of a chain known to `path_of`."""
        for index in range(self._derived[chain], count):
            self.script(KeyPath(chain, index))
        self._derived[chain] = max(self._derived[chain], count)

    def path_of(self, script: bytes) -> KeyPath | None:
        """Path of the script's key, if `script` was derived before; None for everybody else's."""
        return self._paths.get(script)


class AccountSecret:
    """The private half of an account, derived from the words."""

    def __init__(self, words: str, path: Sequence[int] = ACCOUNT_PATH) -> None:
        """`words` must have passed `check_words`."""
        self._engine = default_engine()
        account = master_key(seed_from_words(words), TEST_PRIVATE).descend(path, self._engine)
        self.xpub = encode_extended(account.public(self._engine))
        self._chains = [account.child(chain, self._engine) for chain in (RECEIVE, CHANGE)]

    def secret(self, path: KeyPath) -> bytes:
        """The 32-byte secret key at `path`."""
        return self._chains[path.chain].child(path.index, self._engine).secret

    def __repr__(self) -> str:
        return "AccountSecret(...)"
