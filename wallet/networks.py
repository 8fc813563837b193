"""Which network a wallet is for: Bitcoin's regtest, or what a network file says."""

import tomllib
from pathlib import Path

from chain.params import REGTEST, Params
from wallet.errors import WalletError

FILE_BYTES_MAX = 65_536


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
        raise WalletError(f"cannot read the network file {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's errors, and what is nested too deeply
        raise WalletError(f"{path} is no network file: {error}") from error
