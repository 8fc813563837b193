"""The node's configuration, checked, as one frozen value. Only groatd's commands make it."""

import ipaddress
import os
import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from platformdirs import user_data_dir

from chain.address import AddressError, decode_address
from chain.params import REGTEST, Params
from node.interface.endpoint import Endpoint
from node.interface.settings import INTERVAL_MAX_S, BadOption, ConfigError
from node.p2p.discovery.config import DiscoveryConfig, DiscoveryMethod
from node.p2p.scoring.choking import BULK_BYTES_S
from node.p2p.scoring.service_flags import Role

NAME_MAX = 20
"""Characters of a node's name."""
HOST_MAX = 253
"""Characters of a name in DNS."""


@dataclass(frozen=True, slots=True)
class Mine:
    """Settings of mining."""

    script: bytes
    """The scriptPubKey that blocks pay to."""
    threads: int
    """Miner processes."""
    duty_percent: int
    """Percent of the time that each works."""
    interval_s: float | None
    """One block each so many seconds, where the network has no difficulty; None: as the work allows."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that the node's behaviour depends on, beside its data."""

    params: Params
    """The network."""
    datadir: Path
    """The folder of all networks."""
    api: tuple[Endpoint, ...]
    """Endpoints of explorer, Esplora REST and JSON-RPC."""
    p2p: Endpoint
    """Endpoint for connections from peers."""
    unlisted: bool = False
    """Do not advertise that: nobody can reach it there."""
    peers: tuple[Endpoint, ...] = ()
    """Nodes to stay connected to."""
    finding: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    """The ways of finding other nodes."""
    mine: Mine | None = None
    """None: not at all."""
    minimum_work: int = 0
    """Minimum chain work, in expected hashes: no headers of branches with less are kept."""
    index: bool = True
    """Keep the indexes that Esplora's routes need."""
    rpc_user: str | None = None
    """A fixed JSON-RPC user beside the cookie."""
    rpc_password: str | None = None
    """Set if and only if the user is."""
    allow_hosts: tuple[str, ...] = ()
    """Host names under which browsers may call the API, beside addresses and localhost."""
    cors_origins: tuple[str, ...] = ()
    """Web origins whose pages may read the API."""
    zmq: tuple[str, ...] = ()
    """Addresses at which ZeroMQ notifications are published."""
    log_format: str = "text"
    """text or json."""
    log_file: Path | None = None
    """None: standard error."""
    engine: str = "auto"
    """Library that verifies signatures: auto, libsecp256k1 or python."""
    name: str = ""
    """The node's name; empty: none."""
    role: Role = Role.FULL
    """The role: what the node does for others."""
    bulk_bytes_s: int = BULK_BYTES_S
    """Upload of old blocks and headers before it is rationed."""

    @property
    def folder(self) -> Path:
        """The folder of this network's data."""
        return self.datadir / self.params.name

    @property
    def coinbase_tag(self) -> bytes:
        """The name in the coinbases of the blocks that it makes, between slashes as mining pools have it."""
        return f"/{self.name}/".encode() if self.name else b""

    @property
    def cookie(self) -> Path:
        """The file with this run's JSON-RPC credentials."""
        return self.folder / ".cookie"

    @property
    def node_key(self) -> Path:
        """The file with the node's secret key."""
        return self.folder / "node.key"

    @property
    def mempool(self) -> Path:
        """The file that unconfirmed transactions are kept in between two runs."""
        return self.folder / "mempool.dat"

    @property
    def address_book(self) -> Path:
        """The file with the endpoints of other nodes."""
        return self.folder / "peers.dat"


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


def read_network(name: str) -> Params:
    """`regtest`, or the network that a TOML file describes. Raises ConfigError."""
    if name == REGTEST.name:
        return REGTEST
    path = Path(name)
    try:
        return Params.from_mapping(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise ConfigError(f"no network file {name} (a network is {REGTEST.name} or such a file)") from None
    except IsADirectoryError:
        raise ConfigError(f"--network {name} is a folder: give {REGTEST.name} or the network.toml in it") from None
    except OSError as error:
        raise ConfigError(f"cannot read the network file {name}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested too deeply
        raise ConfigError(f"{name} is not valid TOML: {_one_line(error)}") from None
    except ValueError as error:
        raise ConfigError(f"{name}: {_one_line(error)}") from None


def read_endpoint(text: str, option: str, *, any_port: bool = False) -> Endpoint:
    """The endpoint in HOST:PORT or [IPV6]:PORT; port 0 only with `any_port`. Raises BadOption."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not _is_ipv6(host):
            raise BadOption(f"{option}: {text!r} has no IPv6 address in its brackets")
    elif not colon or not host or ":" in host or not _is_host(host):
        raise BadOption(f"{option}: {text!r} is not HOST:PORT (an IPv6 address goes in brackets)")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and (0 if any_port else 1) <= int(port) < 1 << 16):
        raise BadOption(f"{option}: {text!r} has no valid port")
    return Endpoint(host, int(port))


def read_zmq(addresses: Iterable[str]) -> tuple[str, ...]:
    """Addresses to publish at: tcp://HOST:PORT or ipc://PATH each, none twice. Raises BadOption."""
    chosen = tuple(addresses)
    for address in chosen:
        if address.startswith("tcp://"):
            read_endpoint(address.removeprefix("tcp://").replace("*", "0.0.0.0", 1), "--zmq")
        elif not address.startswith("ipc://") or len(address) == len("ipc://") or "\0" in address:
            raise BadOption(f"--zmq: {address!r} is neither tcp://HOST:PORT nor ipc://PATH")
        if chosen.count(address) > 1:
            raise BadOption(f"--zmq: {address} is given twice")
    if chosen and find_spec("zmq") is None:
        raise ConfigError(f"--zmq needs pyzmq: install it with `{sys.executable} -m pip install pyzmq`")
    return chosen


def read_mine(address: str | None, threads: int, duty_percent: int, interval_s: float, params: Params) -> Mine | None:
    """Settings of mining to `address`, or None without one. Raises BadOption."""
    if address is None:
        return None
    try:
        script = decode_address(address)
    except AddressError as error:
        raise BadOption(f"--mine: {address!r} is not a valid address of this network: {_one_line(error)}") from None
    if not interval_s <= INTERVAL_MAX_S:  # not a number is not below either
        raise BadOption(f"--mine-interval: {interval_s} is not a number of seconds")
    return Mine(script, threads, duty_percent, None if params.has_difficulty else interval_s)


def read_work(text: str | None) -> int:
    """The expected hashes that hex digits say; 0 for none given. Raises BadOption."""
    if text is None:
        return 0
    if not re.fullmatch(r"[0-9a-fA-F]{1,64}", text):
        raise BadOption(f"--minimum-work: {text!r} is not 1 to 64 hex digits")
    return int(text, 16)


def read_role(name: str, mines: bool) -> Role:
    """The role of that name. Raises BadOption."""
    role = Role(name)
    if role is Role.LIGHT and mines:
        raise BadOption("--mine: a light node has no blocks to build on: choose another --role")
    return role


def read_finding(ways: str, bootstrap: tuple[str, ...]) -> DiscoveryConfig:
    """The ways in `gossip,kademlia`, or `tracker` alone; and where to begin. Raises BadOption."""
    names = {way.value: way for way in DiscoveryMethod}
    chosen = [part.strip() for part in ways.split(",")]
    if unknown := [part for part in chosen if part not in names]:
        raise BadOption(f"--discovery: {unknown[0]!r} is not one of {', '.join(names)}")
    found = frozenset(names[part] for part in chosen)
    if DiscoveryMethod.TRACKER in found and len(found) > 1:
        raise BadOption("--discovery: tracker cannot be combined with other ways: such a node only introduces others")
    return DiscoveryConfig(found, tuple(read_endpoint(text, "--bootstrap") for text in bootstrap))


def read_rpc_login(user: str | None, password: str | None) -> tuple[str | None, str | None]:
    """Read a JSON-RPC login: user and password, or neither. Raises BadOption."""
    if (user is None) != (password is None):
        raise BadOption("--rpc-user and --rpc-password must be given together")
    if user is not None and (not user or ":" in user):
        raise BadOption("--rpc-user: a user name must not be empty and has no colon")
    return user, password


def read_name(text: str) -> str:
    """A node's name. Raises BadOption."""
    if not re.fullmatch(rf"([A-Za-z0-9._-]([A-Za-z0-9 ._-]{{0,{NAME_MAX - 2}}}[A-Za-z0-9._-])?)?", text):
        raise BadOption(f"--name: use up to {NAME_MAX} letters, digits, spaces and . _ - with no space at either end")
    return text


def make_folder(folder: Path) -> None:
    """Create a folder that only its owner can look into. Raises ConfigError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise ConfigError(f"--datadir: {folder} is not a folder") from None
    except OSError as error:
        raise ConfigError(f"--datadir: cannot create {folder}: {error.strerror}") from None
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(f"--datadir: no permission to use {folder}")


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", host)) and len(host) <= HOST_MAX


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
