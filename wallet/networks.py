"""The network of a wallet: Bitcoin's regtest or a network file; and the default node."""

import tomllib
from pathlib import Path

from platformdirs import user_data_path

from chain.params import REGTEST, Params
from wallet.errors import WalletError

DEFAULT_NODE = "http://127.0.0.1:18443"
FILE_BYTES_MAX = 65_536
NETWORK_FILE = "network.toml"
"""Name that `devnet up` gives the network file."""


def load_network(network: str) -> Params:
    """`regtest`, or the network of the TOML file of that name. Raises WalletError."""
    if network == REGTEST.name:
        return REGTEST
    path = Path(network)
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise WalletError(f"{path} is too large to be a network file")
        return Params.from_mapping(tomllib.loads(content.decode()))
    except OSError as error:
        raise WalletError(f"cannot read the network file {path}: {error.strerror}{_hint(path)}") from error
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's errors, and what is nested too deeply
        raise WalletError(f"{path} is not a network file: {error}") from error


def _hint(path: Path) -> str:
    """Advice on which file may be meant."""
    devnet = user_data_path("groat") / "devnet" / NETWORK_FILE
    for meant in (path / NETWORK_FILE, *([devnet] if path.name == "devnet" else [])):
        if meant.is_file():
            return f"; give {meant}"
    return f"; give regtest, or a network's TOML file (a devnet's is {NETWORK_FILE} in its folder)"
