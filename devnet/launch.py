"""`devnet up`: found a network from nothing, or wake one that sleeps."""

import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from chain.address import decode_address
from chain.block import Block
from chain.params import REGTEST, Params
from chain.params import devnet as devnet_params
from devnet import funds, network
from devnet.difficulty import first_bits, measure_hash_rate
from devnet.premine import FIRST_BLOCKS, mine_first_blocks
from devnet.screen import Screen
from devnet.state import LOCK_FILE, STATE_FILE, Devnet, DevnetError, load, locked, save, write_atomically

PORT_MAX = 65_535
SUBMIT_TIMEOUT_S = 60.0
MINING_S = 2
"""About how long the first blocks take; less than any network's limit on times ahead of the clock."""
FIXED = ("nodes", "network", "spacing_s")
"""What a devnet keeps for life; the rest may change while it is down."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What `devnet up` was asked for; the fields mean what they do in `Devnet`."""

    nodes: int
    miners: int
    network: str
    spacing_s: int
    mine_duty: int
    api_port: int


def up(folder: Path, plan: Plan, chosen: Collection[str], screen: Screen) -> Devnet:
    """The devnet in `folder`, all its nodes running: founded by the plan, or resumed as it was.

    `chosen` names what the user asked for, the rest of the plan being defaults. Raises DevnetError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        devnet = load(folder)
        if devnet and devnet.ready:
            return _resume(devnet, plan, chosen, screen)
        if devnet:
            screen.note("an earlier `devnet up` was cut short: starting afresh")
            remove_parts(network.stop(devnet, range(devnet.nodes), screen.note, force=True))
        return _found(folder, plan, screen)


def _check(devnet: Devnet) -> Devnet:
    if devnet.miners > devnet.nodes:
        raise DevnetError(f"--miners is {devnet.miners}, but there are only {devnet.nodes} nodes to mine")
    if devnet.api_port + 2 * devnet.nodes - 1 > PORT_MAX:
        raise DevnetError(f"--api-port {devnet.api_port} leaves no room for the ports of {devnet.nodes} nodes")
    return devnet


def _resume(devnet: Devnet, plan: Plan, chosen: Collection[str], screen: Screen) -> Devnet:
    wanted = {name: setting for name, setting in asdict(plan).items() if name in chosen}
    changed = {name: setting for name, setting in wanted.items() if getattr(devnet, name) != setting}
    for name in changed:
        if name in FIXED or any(network.is_running(devnet, index) for index in range(devnet.nodes)):
            remedy = "run `devnet down --wipe` first" if name in FIXED else "run `devnet down` first"
            label = name.removesuffix("_s").replace("_", "-")
            raise DevnetError(f"this devnet's {label} is {getattr(devnet, name)}: to change it, {remedy}")
    devnet = save(_check(replace(devnet, **changed)))
    with screen.step("resuming the nodes") as say:
        devnet = network.start(devnet, range(devnet.nodes), say)
    return devnet


def _found(folder: Path, plan: Plan, screen: Screen) -> Devnet:
    """The recipe of a new network."""
    devnet = _check(Devnet(folder=folder, address="", ready=False, processes=(None,) * plan.nodes, **asdict(plan)))
    network.check_ports(devnet, range(devnet.nodes))
    save(devnet)
    params = _choose_params(devnet, screen)
    with screen.step("creating the wallet"):
        devnet = save(replace(devnet, address=funds.create(devnet, params)))
    try:
        blocks = _seed(devnet, params, screen)
        with screen.step("starting the miners") as say:
            devnet = network.start(load(folder) or devnet, range(devnet.nodes), say)
        with screen.step("splitting the first coin into many"):
            funds.split(devnet, devnet.api_url(0), blocks[0])
        return save(replace(devnet, ready=True))
    except BaseException:
        # Nothing half-made goes on running; what was started is in the state file.
        with screen.step("stopping the nodes again") as say:
            network.stop(load(folder) or devnet, range(devnet.nodes), say, force=True)
        raise


def _choose_params(devnet: Devnet, screen: Screen) -> Params:
    if devnet.network == REGTEST.name:
        return REGTEST
    with screen.step("measuring the hash rate"):
        hashes_per_s = measure_hash_rate(devnet.miners, devnet.mine_duty)
    params = devnet_params(first_bits(hashes_per_s, devnet.spacing_s), devnet.spacing_s)
    write_atomically(devnet.network_file, network_toml(params))
    return params


def network_toml(params: Params) -> str:
    """The network file: what another machine needs to join."""
    rows = params.to_mapping().items()
    return "".join(f"{key} = {_toml(setting)}\n" for key, setting in rows)


def _toml(setting: str | int | bool) -> str:
    if isinstance(setting, bool):
        return str(setting).lower()
    return f'"{setting}"' if isinstance(setting, str) else str(setting)


def _seed(devnet: Devnet, params: Params, screen: Screen) -> Sequence[Block]:
    """Start all nodes, give them the first blocks, and stop the miners-to-be again.

    Nobody mines meanwhile: the first blocks are so easy that a miner would add branches of its own.
    """
    with screen.step("starting the nodes") as say:
        idle = network.start(replace(devnet, miners=0), range(devnet.nodes), say)
    script = decode_address(devnet.address)
    with screen.bar(f"mining the first {FIRST_BLOCKS} blocks", FIRST_BLOCKS) as progress:
        # The schedule of blocks starts with the last one's time: not before they can go on.
        blocks = mine_first_blocks(params, script, int(time.time()) + MINING_S, devnet.spacing_s, progress)
    with screen.step("handing the first blocks over") as say:
        calls = [("submitblock", (block.raw.hex(),)) for block in blocks]
        refused = set(network.client(idle, 0, SUBMIT_TIMEOUT_S).batch(calls)) - {None}
        if refused:
            raise DevnetError(f"node 0 refused the first blocks: {min(refused)}")
        network.wait_agreement(idle, len(blocks), say)
        idle = network.stop(idle, range(devnet.miners), say)
    save(replace(idle, miners=devnet.miners))
    return blocks


def remove_parts(devnet: Devnet) -> None:
    """Delete what a devnet has put into its folder, but the lock that the caller holds."""
    for index in range(devnet.nodes):
        shutil.rmtree(devnet.datadir(index), ignore_errors=True)
    for leftover in devnet.folder.glob(f"{devnet.wallet_file.name}*"):
        leftover.unlink()
    for name in (devnet.network_file.name, STATE_FILE):
        (devnet.folder / name).unlink(missing_ok=True)


def wipe(devnet: Devnet) -> None:
    """Delete the devnet, and its folder if nothing else is in it."""
    remove_parts(devnet)
    (devnet.folder / LOCK_FILE).unlink(missing_ok=True)
    try:
        devnet.folder.rmdir()
    except OSError:
        pass  # something of the user's is in it
