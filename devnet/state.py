"""A devnet's configuration, its paths and ports, and the state file that keeps them; the lock.

Starts, stops and asks nothing.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
NODES_MAX = 100
API_PORT_DEFAULT = 18443
PASSWORD = "devnet"
"""Password of every devnet's wallet: its coins have no value."""
STATE_FILE = "devnet.json"
LOCK_FILE = ".lock"
LOCK_WAIT_S = 60.0
"""Seconds that a command waits for another one that is changing the same devnet."""
LOCK_POLL_S = 0.05
LOCK_SAY_S = 0.5
"""After which it says so."""
VERSION = 2
"""Version of the state file. Version 1 had no `options`."""


class DevnetError(Exception):
    """An error as one line that says what to do."""


class BadValue(DevnetError):
    """An option or argument with a value that cannot be used: wrong usage."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told apart from a later one that got the same number."""

    pid: int
    started: str
    """Start time as the system has it: an opaque text."""


@dataclass(frozen=True, slots=True)
class Devnet:
    folder: Path
    """The folder with all its files."""
    network: str
    """devnet or regtest: also the name of each node's folder for it."""
    nodes: int
    """Number of nodes."""
    miners: int
    """The first so many nodes mine."""
    spacing_s: int
    """Seconds between blocks that the difficulty aims at."""
    mine_duty: int
    """Percent of a core that a miner uses."""
    api_port: int
    """Node i's API is at this + 2i, its P2P one above."""
    address: str
    """The wallet's address, which the first blocks and the miners pay to."""
    ready: bool
    """False until the first `up` has come to its end."""
    processes: tuple[Process | None, ...]
    """Processes by index; None for a node that was stopped."""
    options: tuple[tuple[str, ...], ...]
    """Options of groatd by index, that the node is started with beside the devnet's own."""

    def api(self, index: int) -> str:
        """host:port of a node's HTTP API."""
        return f"{HOST}:{self.api_port + 2 * index}"

    def api_url(self, index: int) -> str:
        """URL of a node's API for people and programs."""
        return f"http://{self.api(index)}"

    def p2p(self, index: int) -> str:
        """host:port at which a node's peers find it."""
        return f"{HOST}:{self.api_port + 2 * index + 1}"

    def datadir(self, index: int) -> Path:
        return self.folder / f"node{index}"

    def log(self, index: int) -> Path:
        """The log of a node, with whatever else it and its Python print."""
        return self.datadir(index) / "log"

    def cookie(self, index: int) -> Path:
        """The JSON-RPC credentials, there while the node runs."""
        return self.datadir(index) / self.network / ".cookie"

    @property
    def has_network_file(self) -> bool:
        """regtest needs none."""
        return self.network == "devnet"

    @property
    def network_file(self) -> Path:
        return self.folder / "network.toml"

    @property
    def wallet_file(self) -> Path:
        return self.folder / "wallet.json"

    def check_index(self, index: int) -> int:
        """The index, if there is such a node. Raises BadValue."""
        if not 0 <= index < self.nodes:
            has = f"nodes 0 to {self.nodes - 1}" if self.nodes > 1 else "node 0 alone"
            raise BadValue(f"there is no node {index}: this devnet has {has}")
        return index

    def with_process(self, index: int, process: Process | None) -> "Devnet":
        """The devnet after a node was started or stopped."""
        processes = (*self.processes[:index], process, *self.processes[index + 1 :])
        return replace(self, processes=processes)

    def with_options(self, index: int, options: tuple[str, ...]) -> "Devnet":
        """The devnet with other options of groatd for one node."""
        return replace(self, options=(*self.options[:index], options, *self.options[index + 1 :]))


def load(folder: Path) -> Devnet | None:
    """The devnet that lives in the folder, or None. Raises DevnetError if its file is damaged."""
    path = folder / STATE_FILE
    try:
        facts = json.loads(path.read_text())
        version = facts.pop("version")
        if version == 1:
            facts["options"] = [[] for _ in range(facts["nodes"])]
        elif version != VERSION:
            raise DevnetError(f"{path} was written by another version of devnet: use that one")
        options = tuple(tuple(map(str, row)) for row in facts.pop("options"))
        processes = tuple(Process(**row) if row else None for row in facts.pop("processes"))
        return Devnet(folder=folder, processes=processes, options=options, **facts)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DevnetError(f"cannot read {path}: {error.strerror}: choose another folder with --dir") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DevnetError(f"{path} is damaged: restore it, or move {folder} away and run `devnet up`") from None


def load_existing(folder: Path) -> Devnet:
    """The devnet in the folder. Raises DevnetError if there is none."""
    devnet = load(folder)
    if not devnet:
        raise DevnetError(f"there is no devnet in {folder}: start one with `devnet up`")
    if not devnet.ready:
        raise DevnetError(f"there is no devnet in {folder} yet, only parts of one: run `devnet up`")
    return devnet


def save(devnet: Devnet) -> Devnet:
    """Write the state file, whole or not at all."""
    facts: dict[str, Any] = {"version": VERSION, **asdict(devnet)}
    del facts["folder"]
    write_atomically(devnet.folder / STATE_FILE, json.dumps(facts, indent=2) + "\n")
    return devnet


def write_atomically(path: Path, text: str) -> None:
    """Readers see the old text or the new, also after a crash."""
    draft = path.with_name(path.name + ".new")
    with open(draft, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


@contextlib.contextmanager
def locked(folder: Path, say: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold the lock with which one command at a time changes a devnet. The folder must exist.

    Raises DevnetError after LOCK_WAIT_S.

    `say` is told, once, that another command is waited for.
    """
    start = time.monotonic()
    path, told = folder / LOCK_FILE, False
    while True:
        # Not truncated: a file of that name may be somebody else's.
        with open(path, "ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = time.monotonic() - start
                if waited > LOCK_WAIT_S:
                    raise DevnetError(
                        f"another devnet command is still working on {folder}: try again when it has ended"
                    ) from None
                if waited > LOCK_SAY_S and not told:
                    say(f"waiting for another devnet command that is working on {folder}")
                    told = True
                time.sleep(LOCK_POLL_S)
                continue
            if not path.exists() or not os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                continue  # a `down --wipe` deleted it while we waited
            yield
            return
