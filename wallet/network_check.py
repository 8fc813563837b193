"""Is the node on the wallet's network?"""

from chain.hashes import BlockHash
from chain.params import GENESIS
from wallet.client import Esplora
from wallet.errors import NodeError, NodeRefused, WalletError
from wallet.keystore import WalletIdentity


def check_network(client: Esplora, ours: WalletIdentity) -> None:
    """Raises WalletError unless the node's chain is one that this wallet can be on."""
    told = client.network()
    if told and told.id != ours.network_id:
        # A name may be used twice, an id is not.
        theirs, own = f"{told.name} ({told.id.hex()[:8]})", f"{ours.network} ({ours.network_id.hex()[:8]})"
        raise WalletError(
            f"the node is on network {theirs}, this wallet on {own}: give another --node, "
            "or a wallet made with `wallet create --network FILE`"
        )
    if not told and _genesis(client) != GENESIS.hash:
        raise WalletError(f"the node is on another network than this wallet ({ours.network}): give another --node")


def _genesis(client: Esplora) -> BlockHash:
    try:
        return client.block_hash(0)
    except NodeRefused as refused:
        if refused.status != 404:
            raise
        hint = "this is not a node's API: --node may name its port for peers (P2P)"
        raise NodeError(f"{refused}; {hint}") from refused
