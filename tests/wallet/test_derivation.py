"""Words to addresses, against the BIPs' own vectors."""

import json
from pathlib import Path

import pytest

from chain.address import MAIN_ADDRESSES, TEST_ADDRESSES, encode_address
from chain.bip32 import MAIN_PRIVATE, decode_extended, encode_extended, master_key
from chain.keys import default_engine
from wallet.derivation import (
    CHANGE,
    RECEIVE,
    Account,
    AccountSecret,
    KeyPath,
    check_words,
    seed_from_words,
    words_from_entropy,
)
from wallet.errors import WalletError

ABANDON = "abandon " * 11 + "about"
HARD = 0x8000_0000
BIP84_MAIN = (84 | HARD, 0 | HARD, 0 | HARD)


def address(account: Account, chain: int, index: int, fmt: object = MAIN_ADDRESSES) -> str | None:
    return encode_address(account.script(KeyPath(chain, index)), fmt)  # type: ignore[arg-type]


def test_bip84_vectors() -> None:
    account = Account(AccountSecret(ABANDON, BIP84_MAIN).xpub)
    assert address(account, RECEIVE, 0) == "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"
    assert address(account, RECEIVE, 1) == "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g"
    assert address(account, CHANGE, 0) == "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el"


def test_the_account_is_the_one_that_other_wallets_use_on_test_networks() -> None:
    # As BDK, Sparrow and Electrum show for these words with m/84'/1'/0'.
    account = Account(AccountSecret(ABANDON).xpub)
    assert address(account, RECEIVE, 0, TEST_ADDRESSES) == "tb1q6rz28mcfaxtmd6v789l9rrlrusdprr9pqcpvkl"


def test_the_secret_half_belongs_to_the_public_half() -> None:
    secret = AccountSecret(ABANDON)
    account = Account(secret.xpub)
    for path in (KeyPath(RECEIVE, 0), KeyPath(CHANGE, 19), KeyPath(RECEIVE, 2**31 - 1)):
        key = default_engine().public_key(secret.secret(path))
        derived = decode_extended(secret.xpub).descend([path.chain, path.index], default_engine()).key
        assert key == derived
        assert account.path_of(account.script(path)) == path
    assert account.path_of(bytes(22)) is None
    assert "abandon" not in repr(secret)


def test_bip39_vectors_of_every_language(vectors: Path) -> None:
    languages = json.loads((vectors / "bip39.json").read_text())
    rows = [(language, *row) for language, rows in languages.items() for row in rows]
    assert len(rows) >= 24 * 12
    for language, entropy, words, seed, xprv in rows:
        assert seed_from_words(words, "TREZOR").hex() == seed
        assert encode_extended(master_key(bytes.fromhex(seed), MAIN_PRIVATE)) == xprv
        if language == "english":  # the only language that the wallet speaks
            assert words_from_entropy(bytes.fromhex(entropy)) == words
            assert check_words(words) == words


def test_words_are_taken_as_people_type_them() -> None:
    assert check_words("  Abandon\n" + "abandon\t" * 10 + " ABOUT ") == ABANDON


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "0 words"),
        ("abandon " * 13, "13 words"),
        ("abandon " * 12, "checksum"),
        ("abandon " * 11 + "abaut", "word 12 is not a BIP39 word: did you mean 'about'?"),
        ("xxxxxxx " * 12, "word 1 is not a BIP39 word"),
    ],
)
def test_wrong_words_get_one_helpful_line(words: str, says: str) -> None:
    with pytest.raises(WalletError, match=says) as caught:
        check_words(words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("xpub", ["", "tpub", "é", "0OIl", "tpub" + "1" * 107])
def test_what_is_no_extended_public_key(xpub: str) -> None:
    with pytest.raises(WalletError, match="extended public key"):
        Account(xpub)
