"""What the tests of outside clients share: a fresh node with a paid purse, and Node.js with npm's packages."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chain.address import encode_address
from chain.coins import Coin
from chain.hashes import from_hex
from chain.tx import Tx, TxOut, outpoint
from tests.chainlab import Owned, lock, pay
from tests.functional.cluster import Cluster, make_cluster

JS = Path(__file__).parents[1] / "js"
SCRIPTS = JS / "clients"
"""Beside node_modules, where Node.js looks for packages."""
SCRIPT_S = 120.0
SUBSIDY = 50 * 10**8
MATURE = 101
"""Height at which the first block's coin can be spent."""


@dataclass(frozen=True)
class FreshNode:
    """One real regtest node, as a client is told of it."""

    cluster: Cluster

    @property
    def port(self) -> int:
        return self.cluster.nodes[0].api_port

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def datadir(self) -> Path:
        return self.cluster.nodes[0].datadir

    @property
    def cookie(self) -> Path:
        return self.datadir / "regtest" / ".cookie"

    @property
    def user(self) -> str:
        return self.cookie.read_text().strip().split(":")[0]

    @property
    def password(self) -> str:
        return self.cookie.read_text().strip().split(":")[1]

    @property
    def url_with_credentials(self) -> str:
        return f"http://{self.user}:{self.password}@{self.host}"

    def rpc(self, method: str, *params: Any) -> Any:
        return self.cluster.rpc(0, method, *params)

    def get(self, path: str) -> str:
        return self.cluster.get(0, path)

    def mine(self, blocks: int, address: str) -> list[str]:
        """The hashes of that many new blocks that pay the address."""
        return list(self.rpc("generatetoaddress", blocks, address))


@dataclass(frozen=True)
class Purse:
    """The coins that a test pays from: those of the first blocks of a node of height MATURE."""

    node: FreshNode
    address: str

    def coin(self, height: int = 1) -> Owned:
        """The coin of the block at that height."""
        [txid] = self.node.rpc("getblock", self.node.rpc("getblockhash", height))["tx"]
        return Owned(outpoint(from_hex(txid), 0), Coin.make(height, True, TxOut(SUBSIDY, lock())))

    def payment(self, *, fee: int = 1000) -> tuple[Tx, str]:
        """A signed payment of the first coin to the purse itself, and its hex."""
        tx = pay([self.coin()], fee=fee)
        return tx, tx.raw.hex()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FreshNode]:
    """A regtest node that has only genesis."""
    cluster = make_cluster(tmp_path / "cluster", 1, (), (), "regtest")
    try:
        cluster.start()
        yield FreshNode(cluster)
    finally:
        cluster.close()


@pytest.fixture
def purse(node: FreshNode) -> Purse:
    """The node has MATURE blocks, all paid to this purse."""
    address = encode_address(lock())
    assert address
    node.mine(MATURE, address)
    return Purse(node, address)


def nodejs() -> str:
    """The program that runs what needs npm's packages; skips the test where there is no such thing."""
    node = shutil.which("node")
    if node is None or not (JS / "node_modules" / ".groat-stamp").exists():
        pytest.skip("clients: no Node.js, or npm's packages are not installed (scripts/test does)")
    return node


@pytest.fixture(scope="session")
def run_js() -> Callable[..., Any]:
    """Runs a script of tests/js/clients with Node.js: `run_js("name.mjs", {arguments})`, the JSON that it prints."""
    node = nodejs()

    def run(script: str, arguments: dict[str, Any]) -> Any:
        command = [node, str(SCRIPTS / script), json.dumps(arguments)]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SCRIPT_S)
        assert outcome.returncode == 0, f"{outcome.stdout}\n{outcome.stderr}"
        return json.loads(outcome.stdout)

    return run
