"""The commands of groatd: imported when one of them is carried out, for it brings all of the node."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from platformdirs import user_data_dir

from node.config import (
    Config,
    read_endpoint,
    read_finding,
    read_mine,
    read_name,
    read_network,
    read_role,
    read_rpc_login,
    read_work,
    read_zmq,
)
from node.interface.settings import ConfigError
from node.interface.storage import StoreError
from node.ledger_tools import LedgerFacts, reindex_ledger, verify_ledger
from node.logs import start_logging, stop_logging
from node.runtime.runtime import monotonic
from node.workers.verifier_pool import VerifierPool, choose_engine, verifier_processes

DAEMON = "node.daemon"
"""Brings the API and the network, which the other commands have no use for."""

Progress = Callable[[int, int], None]
"""Called with how many blocks are done, and of how many."""


def run_node(config: Config) -> str | None:
    """Run until told to stop; why the node had to, if it was not told. Raises ConfigError."""
    try:
        handler = start_logging(config.log_format, config.log_file)
    except OSError as error:
        raise ConfigError(f"--log-file: cannot write {config.log_file}: {error.strerror}") from None
    try:
        why: str | None = import_module(DAEMON).run(config)
        return why
    except StoreError as error:
        raise ConfigError(str(error)) from None
    finally:
        stop_logging(handler)


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


def read_config(
    network: str,
    datadir: str | None,
    api: tuple[str, ...],
    p2p: str,
    unlisted: bool,
    peer: tuple[str, ...],
    bootstrap: tuple[str, ...],
    discovery: str,
    minimum_work: str | None,
    name: str,
    mine: str | None,
    mine_threads: int,
    mine_duty: int,
    mine_interval: float,
    no_index: bool,
    rpc_user: str | None,
    rpc_password: str | None,
    allow_host: tuple[str, ...],
    cors_origin: tuple[str, ...],
    zmq: tuple[str, ...],
    log_format: str,
    log_file: str | None,
    engine: str,
    role: str,
    bulk_budget: int,
    config: str | None,
) -> Config:
    """The configuration that the options make. Raises ConfigError."""
    params = read_network(network)
    user, password = read_rpc_login(rpc_user, rpc_password)
    return Config(
        params=params,
        datadir=_datadir(datadir),
        api=tuple(read_endpoint(text, "--api", any_port=True) for text in api),
        p2p=read_endpoint(p2p, "--p2p", any_port=True),
        unlisted=unlisted,
        peers=tuple(read_endpoint(text, "--peer") for text in peer),
        finding=read_finding(discovery, bootstrap),
        mine=read_mine(mine, mine_threads, mine_duty, mine_interval, params),
        index=not no_index,
        minimum_work=read_work(minimum_work),
        name=read_name(name),
        rpc_user=user,
        rpc_password=password,
        allow_hosts=allow_host,
        cors_origins=cors_origin,
        zmq=read_zmq(zmq),
        log_format=log_format,
        log_file=Path(log_file) if log_file else None,
        engine=engine,
        role=read_role(role, mine is not None),
        bulk_bytes_s=bulk_budget * 1_000,
    )


def _datadir(given: str | None) -> Path:
    return Path(given or user_data_dir("groat", appauthor=False)).expanduser().absolute()
