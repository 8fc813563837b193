"""`devnet up` and `devnet add`: make a network, start one again that was stopped, add nodes to it."""

import os
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from chain.address import decode_address
from chain.params import REGTEST, Params, devnet_params
from devnet import files, funds, network
from devnet.difficulty import first_bits, measure_hash_rate
from devnet.groatdoptions import PORT_MAX, options_for_each
from devnet.premine import FIRST_BLOCKS, mine_first_blocks
from devnet.screen import Screen
from devnet.state import NODES_MAX, BadValue, Devnet, DevnetError, load, locked, save, write_atomically

SUBMIT_TIMEOUT_S = 60.0
MINING_S = 2
"""About how long the first blocks take; less than any network's limit on times ahead of the clock."""
FIXED = ("network", "spacing_s")
"""Settings that a devnet keeps for life."""
CHANGEABLE = ("miners", "mine_duty", "api_port")
"""Settings that may change while it is down."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings given to `devnet up`; the fields mean what they do in `Devnet`."""

    nodes: int
    miners: int
    network: str
    spacing_s: int
    mine_duty: int
    api_port: int
    options: tuple[str, ...] | None
    """Options of groatd, for every node; None: as they are."""

    def devnet(self, folder: Path) -> Devnet:
        """A new devnet by this plan. Raises BadValue."""
        options = options_for_each(self.options or (), range(self.nodes))
        facts = {name: getattr(self, name) for name in ("nodes", *FIXED, *CHANGEABLE)}
        processes = (None,) * self.nodes
        return _check(Devnet(folder=folder, address="", ready=False, processes=processes, options=options, **facts))


def up(folder: Path, plan: Plan, chosen: Collection[str], screen: Screen) -> Devnet:
    """The devnet in `folder`, all its nodes running: made by the plan, or resumed as it was.

    `chosen` names what the user asked for, the rest of the plan being defaults. Raises DevnetError.
    """
    known = load(folder)
    if not known or not known.ready:
        plan.devnet(folder)  # refuses what cannot be before anything is made
    make_folder(folder)
    with locked(folder, screen.note):
        devnet = load(folder)
        if devnet and devnet.ready:
            return _resume(devnet, plan, chosen, screen)
        if devnet:
            screen.note("removing what an earlier command has left unfinished")
            files.remove(network.stop(devnet, range(devnet.nodes), screen.note, force=True))
        return _make(plan.devnet(folder), screen)


def make_folder(folder: Path) -> None:
    """Make the devnet's folder, with those above it. Raises DevnetError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DevnetError(
            f"cannot make the folder {folder} ({error.strerror}: {error.filename}): choose another one with --dir"
        ) from None
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise DevnetError(f"cannot write in the folder {folder}: choose another one with --dir")


def _check(devnet: Devnet) -> Devnet:
    if devnet.miners > devnet.nodes:
        raise BadValue(f"--miners is {devnet.miners}, but there are only {devnet.nodes} nodes to mine")
    if devnet.api_port + 2 * devnet.nodes - 1 > PORT_MAX:
        raise BadValue(f"--api-port {devnet.api_port} leaves no room for the ports of {devnet.nodes} nodes")
    return devnet


def _resume(devnet: Devnet, plan: Plan, chosen: Collection[str], screen: Screen) -> Devnet:
    changed = {name: getattr(plan, name) for name in (*FIXED, *CHANGEABLE) if name in chosen}
    changed = {name: setting for name, setting in changed.items() if getattr(devnet, name) != setting}
    running = any(network.is_running(devnet, index) for index in range(devnet.nodes))
    for name in changed:
        if name in FIXED or running:
            remedy = "run `devnet down --wipe` first" if name in FIXED else "run `devnet down` first"
            label = {"network": "network", "spacing_s": "spacing"}.get(name, name.replace("_", "-"))
            raise DevnetError(f"--{label} of this devnet is {getattr(devnet, name)}: to change it, {remedy}")
    if "nodes" in chosen and plan.nodes < devnet.nodes:
        raise DevnetError(
            f"this devnet has {devnet.nodes} nodes, and none can be taken away: `devnet stop I` stops one, "
            "`devnet down --wipe` deletes the devnet"
        )
    known, devnet = devnet, replace(devnet, **changed)
    options = None if plan.options is None else options_for_each(plan.options, range(devnet.nodes))
    if options not in (None, devnet.options):
        if running:
            raise DevnetError("to change options of groatd, run `devnet down` first, or `devnet stop I` for one node")
        devnet = replace(devnet, options=options)
    if "nodes" in chosen:
        more = range(devnet.nodes, plan.nodes)
        devnet = _with_more_nodes(devnet, options_for_each(plan.options or (), more))
    devnet = _check(devnet)
    others = [index for index, own in enumerate(devnet.options) if index >= known.nodes or own != known.options[index]]
    network.check_options(devnet, others)
    with screen.step("starting the nodes") as say:
        return network.start(save(devnet), range(devnet.nodes), say)


def add(devnet: Devnet, options: tuple[str, ...], screen: Screen) -> Devnet:
    """Add a node and start it. Raises DevnetError."""
    devnet = _check(_with_more_nodes(devnet, (options,)))
    index = devnet.nodes - 1
    network.check_options(devnet, [index])
    network.check_ports(devnet, [index])
    with screen.step(f"starting node {index}") as say:
        return network.start(save(devnet), [index], say)


def start(devnet: Devnet, index: int, options: tuple[str, ...] | None, say: network.Say) -> Devnet:
    """Start a node again, with the options that it had unless there are others. Raises DevnetError."""
    if options is not None and options != devnet.options[index]:
        if network.is_running(devnet, index):
            raise DevnetError(f"node {index} is running: to change its options, run `devnet stop {index}` first")
        devnet = _check(devnet.with_options(index, options))
        network.check_options(devnet, [index])
    return network.start(save(devnet), [index], say)


def _with_more_nodes(devnet: Devnet, options: tuple[tuple[str, ...], ...]) -> Devnet:
    """A devnet with nodes of these options behind the others, none of them started."""
    nodes = devnet.nodes + len(options)
    if nodes > NODES_MAX:
        raise DevnetError(f"a devnet has at most {NODES_MAX} nodes")
    files.check_free(files.planned_for(devnet, range(devnet.nodes, nodes)))
    processes = devnet.processes + (None,) * len(options)
    return replace(devnet, nodes=nodes, processes=processes, options=devnet.options + options)


def _make(devnet: Devnet, screen: Screen) -> Devnet:
    """The recipe of a new network."""
    files.check_free(files.planned(devnet))
    network.check_ports(devnet, range(devnet.nodes))
    save(devnet)
    params = _choose_params(devnet, screen)
    with screen.step("creating the wallet"):
        devnet = save(replace(devnet, address=funds.create(devnet, params)))
    network.check_options(devnet, range(devnet.nodes))
    try:
        return save(replace(_start_with_first_blocks(devnet, params, screen), ready=True))
    except BaseException:
        # Nothing half-made goes on running; what was started is in the state file.
        with screen.step("stopping the nodes again") as say:
            network.stop(load(devnet.folder) or devnet, range(devnet.nodes), say, force=True)
        raise


def _choose_params(devnet: Devnet, screen: Screen) -> Params:
    if not devnet.has_network_file:
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


def _start_with_first_blocks(devnet: Devnet, params: Params, screen: Screen) -> Devnet:
    """Start all nodes, give them the first blocks, split the first coin, and restart those that run otherwise.

    Nobody mines meanwhile: the first blocks are so easy that a miner would add branches of its own. Nor has any
    node options of the user's, with which it might keep no blocks or no index.
    """
    plain = replace(devnet, miners=0, options=((),) * devnet.nodes)
    with screen.step("starting the nodes") as say:
        idle = network.start(plain, range(devnet.nodes), say)
    script = decode_address(devnet.address)
    with screen.bar(f"mining the first {FIRST_BLOCKS} blocks", FIRST_BLOCKS) as progress:
        # The schedule of blocks starts with the last one's time: not before they can go on.
        blocks = mine_first_blocks(params, script, int(time.time()) + MINING_S, devnet.spacing_s, progress)
    with screen.step("sending the first blocks to the nodes") as say:
        calls = [("submitblock", (block.raw.hex(),)) for block in blocks]
        refused = set(network.client(idle, 0, SUBMIT_TIMEOUT_S).batch(calls)) - {None}
        if refused:
            raise DevnetError(f"node 0 refused the first blocks: {min(refused)}")
        network.wait_agreement(idle, len(blocks), say)
    with screen.step("creating coins of 0.5 for payments"):
        funds.split(devnet, devnet.api_url(0), blocks[0])
    with screen.step("starting the miners") as say:
        others = [index for index in range(devnet.nodes) if index < devnet.miners or devnet.options[index]]
        idle = network.stop(idle, others, say)
        devnet = save(replace(idle, miners=devnet.miners, options=devnet.options))
        return network.start(devnet, range(devnet.nodes), say)
