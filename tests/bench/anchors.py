"""What ours is held against: Bitcoin Core's engine, and the raw curve library."""

import tempfile
from collections.abc import Sequence
from time import perf_counter

import pbk
from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

from chain.keys import CHECK_SIZE
from tests.bench.workload import Chain

WORKER_THREADS = 1
"""Beside the engine's own thread: two in all, its best on two cores."""


def kernel_rate(chain: Chain, worker_threads: int = WORKER_THREADS) -> float:
    """Payments a second that Core's engine connects, in memory; the first block of them is there to warm up."""
    with tempfile.TemporaryDirectory(prefix="groat-bench-kernel-") as folder:
        context = pbk.make_context(pbk.ChainType.REGTEST)
        options = pbk.ChainstateManagerOptions(context, f"{folder}/data", f"{folder}/blocks")
        options.set_worker_threads_num(worker_threads)
        options.update_block_tree_db_in_memory(True)
        options.update_chainstate_db_in_memory(True)
        manager = pbk.ChainstateManager(options)
        _process(manager, (*chain.base, chain.payments[0]))
        start = perf_counter()
        _process(manager, chain.payments[1:])
        taken = perf_counter() - start
        height = manager.get_active_chain().height
        assert height == len(chain.base) + len(chain.payments), f"the kernel stands at {height}"
    return chain.rate(taken)


def _process(manager: "pbk.ChainstateManager", raws: Sequence[bytes]) -> None:
    create, wrap = pbk.capi.bindings.btck_block_create, pbk.Block._from_handle
    for raw in raws:
        manager.process_block(wrap(create(raw, len(raw))))


def raw_verify_s(checks: bytes) -> float:
    """Seconds that libsecp256k1 takes for ECDSA checks laid end to end, one thread, parsing included."""
    context = GLOBAL_CONTEXT.ctx
    key, signature = ffi.new("secp256k1_pubkey *"), ffi.new("secp256k1_ecdsa_signature *")
    parts = [
        (checks[at : at + 33], checks[at + 33 : at + 97], checks[at + 97 : at + 129])
        for at in range(0, len(checks), CHECK_SIZE)
    ]
    start = perf_counter()
    for public, compact, digest in parts:
        assert lib.secp256k1_ec_pubkey_parse(context, key, public, 33)
        assert lib.secp256k1_ecdsa_signature_parse_compact(context, signature, compact)
        assert lib.secp256k1_ecdsa_verify(context, signature, digest, key)
    return perf_counter() - start
