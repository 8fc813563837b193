"""groatd's commands on a data directory that no node is using: is it right, and building it anew."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chain.block import decode_block, decode_header
from chain.blocktree import BlockNode, BlockTree, between
from chain.coins import Coin
from chain.errors import Rejected
from chain.hashes import BlockHash, to_hex
from chain.params import Params
from chain.tx import OutPoint
from chain.validate import validate_block
from node.chainstate.chainstate import Chainstate
from node.config import Config
from node.interface.settings import ConfigError
from node.interface.storage import Damaged, LedgerView, Store, StoredTip, StoreError
from node.runtime.runtime import monotonic
from node.storage.filters import discard_filters
from node.storage.recovery import open_store
from node.storage.schema import coins_digest
from node.workers.verifier_pool import VerifierPool, choose_engine, verifier_processes

Progress = Callable[[int, int], None]
"""Called with the height that is done and the one that is to be reached."""


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """Facts about a ledger."""

    height: int
    hash: BlockHash
    """The tip's."""
    digest: int
    """Over the coins; below 2^512."""

    @staticmethod
    def of(tip: StoredTip) -> "LedgerFacts":
        """The facts of the ledger with this tip."""
        return LedgerFacts(tip.height, tip.hash, tip.digest)


def verify(config: Config, deep: bool, progress: Progress) -> LedgerFacts:
    """Check the ledger. Raises ConfigError."""
    verifiers = VerifierPool(choose_engine(config.engine), verifier_processes(), monotonic)
    try:
        return verify_ledger(config.folder, config.params, verifiers, deep=deep, progress=progress)
    except StoreError as error:
        raise ConfigError(str(error)) from None
    finally:
        verifiers.stop()


def reindex(config: Config, progress: Progress) -> LedgerFacts:
    """Build the ledger anew. Raises ConfigError."""
    if not config.folder.is_dir():
        raise ConfigError(f"{config.folder} does not exist: check --datadir and --network")
    verifiers = VerifierPool(choose_engine(config.engine), verifier_processes(), monotonic)
    try:
        return reindex_ledger(config.folder, config.params, verifiers, index=config.index, progress=progress)
    except StoreError as error:
        raise ConfigError(str(error)) from None
    finally:
        verifiers.stop()


def verify_ledger(
    folder: Path, params: Params, verifiers: VerifierPool, *, deep: bool, progress: Progress
) -> LedgerFacts:
    """The facts of a ledger whose coins match its digest; with `deep`, after connecting every
    block of its chain again, signatures included, without believing the ledger anything.

    Changes nothing. Raises Damaged where something is wrong, and StoreError.
    """
    store = open_store(folder, params.network_id, inspect=True)
    try:
        if deep:
            _connect_again(store, params, verifiers, progress)
        return LedgerFacts.of(store.tip())
    finally:
        store.close()


def reindex_ledger(
    folder: Path, params: Params, verifiers: VerifierPool, *, index: bool, progress: Progress
) -> LedgerFacts:
    """Throw the ledger away and build it from the stored blocks; the filters of blocks, which the
    node makes when it runs, go as well. Raises StoreError."""
    store = open_store(folder, params.network_id, index=index, reindex=True)
    try:
        discard_filters(folder)
        chain = Chainstate(params, store, itertools.count(1).__next__)
        while (staged := chain.advance()) is not None:
            chain.verified(staged.token, verifiers.first_failure(staged.checks))
            progress(chain.tip.height, chain.best.height)
        return LedgerFacts.of(store.tip())
    finally:
        store.close()


def _connect_again(store: Store, params: Params, verifiers: VerifierPool, progress: Progress) -> None:
    tip = store.tip()
    coins: dict[OutPoint, Coin] = {}
    for entry in _path_to(store, params, tip.hash):
        try:
            _connect(entry, store, coins, params, verifiers)
        except Rejected as error:
            where = f"block {to_hex(entry.hash)} at height {entry.height}"
            raise Damaged(f"{where} is wrong ({error}): run groatd reindex") from None
        progress(entry.height, tip.height)
    if coins_digest(coins.items()) != tip.digest:
        raise Damaged("the ledger's digest is not that of the blocks: run groatd reindex")


def _path_to(store: Store, params: Params, tip: BlockHash) -> list[BlockNode]:
    """The blocks from height 1 to the tip."""
    tree = BlockTree(params)
    for _, raw in store.headers():
        header = decode_header(raw)
        if header.prev_hash in tree.entries:
            tree.add(header)
    entry = tree.get(tip)
    if entry is None:
        raise Damaged("the ledger's tip has no stored block: run groatd reindex")
    return between(tree.genesis, entry)


def _connect(
    entry: BlockNode, store: LedgerView, coins: dict[OutPoint, Coin], params: Params, verifiers: VerifierPool
) -> None:
    """Every rule for one block, on coins that the blocks before it made. Raises Rejected, Damaged."""
    where = f"block {to_hex(entry.hash)} at height {entry.height}"
    raw = store.block(entry.height, entry.hash)
    if raw is None:
        raise Damaged(f"{where} is lost: start the node to have it fetched again")
    block = decode_block(raw)
    connected = validate_block(block, entry.parent, coins.get, block.header.time, params, verifiers.first_failure)
    if store.undo(entry.height, entry.hash) != connected.undo:
        raise Damaged(f"the undo of {where} is wrong: run groatd reindex")
    for point in connected.delta.spent:
        del coins[point]
    coins.update(connected.delta.created)
