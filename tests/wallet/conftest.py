"""A chain with a server, and wallets on it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from chain.params import REGTEST
from tests.wallet.esplora_server import Chain, Server, serve
from wallet.account import Wallet
from wallet.client import Esplora
from wallet.derivation import words_from_entropy
from wallet.keystore import Cost
from wallet.store import WalletFile

PASSWORD = "correct horse"
CHEAP = Cost(n=16)
"""scrypt for tests: as good as nothing, as fast as nothing."""


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
def server(chain: Chain) -> Iterator[Server]:
    with serve(chain) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Esplora]:
    with Esplora([server.url]) as client:
        yield client


MakeWallet = Callable[..., Wallet]


@pytest.fixture
def make_wallet(tmp_path: Path, client: Esplora) -> MakeWallet:
    """Wallets by number: another number has other words, and another name another file."""

    def make(number: int = 0, name: str = "wallet", password: str | None = PASSWORD) -> Wallet:
        path = tmp_path / f"{name}{number}.json"
        if not path.exists():
            words = words_from_entropy(number.to_bytes(16, "big"))
            WalletFile.create(path, words, PASSWORD, REGTEST, client.pause, CHEAP)
        return Wallet.open(path, password, client, Random(number))

    return make


@pytest.fixture
def wallet(make_wallet: MakeWallet) -> Wallet:
    return make_wallet()
