"""`devnet` end to end: one real network through its whole life, and the wheel in an empty environment."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from chain.hashes import sha256
from chain.params import COINBASE_MATURITY
from chain.scripttype import p2wpkh_script
from chain.tx import COIN
from devnet.premine import FIRST_BLOCKS
from devnet.processes import start_time
from devnet.rpc import NodeClient
from devnet.state import load
from tests.functional.shell import BYTECODE
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
COMMAND_S = 180.0
WAIT_S = 60.0
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
INTERVALS = 60
"""Blocks over which the spacing is averaged: enough for the difficulty to make up for a hash rate
that was measured while other tests had the machine."""


@dataclass
class Commands:
    """The `devnet` command on one folder."""

    devnet: list[str]
    """How to call it."""
    cwd: Path
    folder: Path

    def run(self, *arguments: object, check: bool = True) -> "subprocess.CompletedProcess[str]":
        command = [*self.devnet, "--dir", str(self.folder), *map(str, arguments)]
        environment = plain_environment()
        outcome = subprocess.run(
            command, cwd=self.cwd, env=environment, capture_output=True, text=True, check=False, timeout=COMMAND_S
        )
        assert not check or outcome.returncode == 0, f"{command}\n{outcome.stdout}{outcome.stderr}"
        return outcome

    def facts(self, *arguments: object) -> Any:
        """What the command says with --json."""
        return json.loads(self.run("--json", *arguments).stdout)

    def client(self, index: int) -> NodeClient:
        node = self.facts("status")["nodes"][index]
        return NodeClient(node["api"].removeprefix("http://"), Path(node["cookie"]))

    def wait_for(self, condition: Callable[[Any], object], what: str) -> Any:
        """Poll the status until `condition` holds for it."""
        deadline = time.monotonic() + WAIT_S
        while not condition(facts := self.facts("status")):
            assert time.monotonic() < deadline, f"waited for {what}: {facts}"
        return facts

    def shut_down(self) -> None:
        """End everything that works on this folder, whatever the devnet thinks of it."""
        listing = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
        for row in listing.stdout.splitlines():
            pid, _, command = row.strip().partition(" ")
            if str(self.folder) in command:
                os.kill(int(pid), signal.SIGKILL)


def plain_environment() -> dict[str, str]:
    """A person's: nothing of this project's, and of Python's only where its bytecode is."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("GROAT_", "PYTHON"))}
    return kept | {name: os.environ[name] for name in BYTECODE if name in os.environ}


def one_tip(facts: Any) -> bool:
    """All nodes stand on the same block."""
    return len({node["tip"] for node in facts["nodes"]}) == 1 and facts["nodes"][0]["tip"] is not None


def short_of_all(facts: Any) -> int:
    """Satoshis that the wallet has less than all mature blocks paid."""
    mature = facts["nodes"][0]["height"] - COINBASE_MATURITY + 1
    return int(mature * 50 * COIN - facts["wallet"]["balance_sat"])


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """A devnet of three nodes with a block a second; the tests below take it through its life in order."""
    folder = tmp_path_factory.mktemp("a folder with spaces") / "net"
    commands = Commands([sys.executable, "-m", "devnet"], ROOT, folder)
    try:
        yield commands
    finally:
        commands.shut_down()


@pytest.fixture(scope="module")
def first_words(commands: Commands) -> str:
    """What the first `up` prints."""
    return commands.run("up", "--spacing", 1, "--api-port", free_ports(8)).stdout


@pytest.fixture(scope="module")
def standing(commands: Commands, first_words: str) -> Commands:
    """The devnet, up."""
    assert first_words
    return commands


def test_up_gives_a_network_to_use_at_once(commands: Commands, first_words: str) -> None:
    # Blocks 1 and 2 are mature; the first was split, for a fee below a thousandth of a coin. Nodes and wallet are
    # asked one after the other: a block may come between.
    facts = commands.wait_for(lambda facts: one_tip(facts) and 0 <= short_of_all(facts) < 2 * 50 * COIN, "one tip")
    assert all(node["api"] in first_words for node in facts["nodes"])
    assert "coins to spend" in first_words
    assert (facts["network"], facts["dir"]) == ("devnet", str(commands.folder))
    assert [node["index"] for node in facts["nodes"] if node["running"]] == [0, 1, 2]
    assert all(node["height"] >= FIRST_BLOCKS for node in facts["nodes"])
    assert all(node["peers"] >= 2 for node in facts["nodes"])
    assert json.loads((commands.folder / "devnet.json").read_text())["ready"] is True


def test_the_commands_to_try_next_work(standing: Commands, first_words: str) -> None:
    """They name programs by path where these are not on PATH, and need them installed."""
    lines = [line.strip() for line in first_words.partition("Try next:\n")[2].strip().splitlines()]
    assert len(lines) == 4
    for line in lines:
        program = next(word for word in line.split() if "=" not in word).strip("'")
        if shutil.which(program) is None:
            assert Path(program).parent.resolve() == Path(sys.executable).parent
            continue
        outcome = subprocess.run(line, shell=True, capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S602
        assert outcome.returncode == 0, f"{line}\n{outcome.stdout}{outcome.stderr}"


def test_the_first_coin_is_split_into_a_hundred(standing: Commands) -> None:
    client = standing.client(0)
    block = json.loads(client.get(f"/block/{client.rpc('getblockhash', 1)}/txs"))
    spent = json.loads(client.get(f"/tx/{block[0]['txid']}/outspend/0"))
    outputs = json.loads(client.get(f"/tx/{spent['txid']}"))["vout"]
    assert sorted({output["value"] for output in outputs[:]})[-1] == 50_000_000
    assert len(outputs) == 100


def test_the_first_blocks_are_spaced_and_easy(standing: Commands) -> None:
    client = standing.client(1)
    hashes = client.batch([("getblockhash", (height,)) for height in range(1, FIRST_BLOCKS + 1)])
    headers = client.batch([("getblockheader", (block_hash,)) for block_hash in hashes])
    assert {header["bits"] for header in headers} == {"1f03ffff"}
    assert {later["time"] - earlier["time"] for earlier, later in pairwise(headers)} == {1}


def test_funding_reaches_every_node(standing: Commands) -> None:
    paid = standing.facts("fund", ADDRESS, "0.25")
    assert paid["amount_sat"] == 25_000_000
    assert 0 < paid["fee_sat"] < 10_000
    everything = standing.run("fund", ADDRESS, 10_000_000, check=False)
    assert (everything.returncode, "`max` as the amount" in everything.stderr) == (1, True)
    script_hash = sha256(p2wpkh_script(bytes.fromhex("751e76e8199196d454941c45d1b3a323f1433bd6"))).hex()
    for index in range(3):
        client = standing.client(index)

        def received(_: Any, client: NodeClient = client) -> bool:
            stats = json.loads(client.get(f"/scripthash/{script_hash}"))["chain_stats"]
            return bool(stats["funded_txo_sum"] == 25_000_000)

        standing.wait_for(received, f"the payment on node {index}")


def test_mine_does_real_work_where_it_is_asked_to(standing: Commands) -> None:
    mined = standing.facts("mine", 2, "--node", 1, "--to", ADDRESS)
    assert mined["node"] == 1
    assert len(mined["hashes"]) == 2
    header = standing.client(1).rpc("getblockheader", mined["hashes"][1])
    assert int(mined["hashes"][1], 16) <= int(header["target"], 16) < 2**243


def test_blocks_come_at_the_spacing(standing: Commands) -> None:
    """The mean of the intervals above the first blocks, by the headers' own times."""
    last = FIRST_BLOCKS + 1 + INTERVALS
    client = standing.client(2)
    deadline = time.monotonic() + 3 * INTERVALS
    while client.rpc("getblockcount") < last:
        assert time.monotonic() < deadline, "the blocks come far too slowly"
        time.sleep(0.2)
    hashes = [client.rpc("getblockhash", height) for height in (last - INTERVALS, last)]
    start, end = (client.rpc("getblockheader", block_hash)["time"] for block_hash in hashes)
    assert 0.5 <= (end - start) / INTERVALS <= 2


def test_a_killed_node_comes_back_and_catches_up(standing: Commands) -> None:
    assert standing.facts("kill", 1) == {"index": 1, "pid": None, "running": False}
    facts = standing.facts("status")
    assert [node["running"] for node in facts["nodes"]] == [True, False, True]
    assert facts["nodes"][1]["height"] is None
    assert standing.facts("start", 1)["running"] is True
    standing.wait_for(one_tip, "one tip")


def test_a_stopped_node_is_started_by_up(standing: Commands) -> None:
    standing.run("stop", 0)
    assert not (standing.folder / "node0" / "devnet" / ".cookie").exists()
    standing.run("up")
    standing.wait_for(one_tip, "one tip")


def test_logs_have_no_traceback(standing: Commands) -> None:
    for index in range(3):
        text = standing.run("logs", index, "-n", 10_000).stdout
        assert text.strip()
        assert "Traceback" not in text


def test_no_child_holds_the_shell(standing: Commands) -> None:
    """`up` in a pipe ends when `up` ends: nobody else keeps the other end of the pipe open."""
    standing.run("stop", 2)
    command = [*standing.devnet, "up", "--dir", str(standing.folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=plain_environment(), stdin=pipe, stdout=pipe, stderr=pipe) as up:
        assert up.stdout
        assert up.stderr
        printed = up.stdout.read()  # to the end of file
        assert b"http://" in printed, up.stderr.read().decode()
        assert up.wait(10) == 0


def test_a_port_in_use_is_one_line(standing: Commands, tmp_path: Path) -> None:
    base = standing.facts("status")["nodes"][0]["api"].rpartition(":")[2]
    other = Commands(standing.devnet, ROOT, tmp_path / "other")
    outcome = other.run("up", "--api-port", base, check=False)
    assert outcome.returncode == 1
    assert outcome.stderr.splitlines()[-1].startswith(f"Error: port {base}, for node 0: ")
    assert "--api-port" in outcome.stderr


def test_a_node_is_added_while_the_network_runs(standing: Commands) -> None:
    """With options of its own, which it has again when it is started again."""
    pids = [node["pid"] for node in standing.facts("status")["nodes"]]
    port = free_ports(1)
    added = standing.facts("add", "--", "--role", "pruned", "--zmq", f"tcp://127.0.0.1:{port}")
    assert (added["index"], added["running"]) == (3, True)
    facts = standing.wait_for(one_tip, "one tip")
    assert [node["pid"] for node in facts["nodes"][:3]] == pids  # the others went on
    assert facts["nodes"][3]["options"] == ["--role", "pruned", "--zmq", f"tcp://127.0.0.1:{port}"]
    assert standing.client(3).rpc("getzmqnotifications")[0]["address"] == f"tcp://127.0.0.1:{port}"
    standing.run("stop", 3)
    standing.run("start", 3)
    assert standing.client(3).rpc("getzmqnotifications")
    standing.run("stop", 3)
    standing.run("start", 3, "--plain")
    assert standing.client(3).rpc("getzmqnotifications") == []
    refused = standing.run("start", 2, "--", "--cors-origin", "*", check=False)
    assert (refused.returncode, "node 2 is running" in refused.stderr) == (1, True)


def test_attached_logs_end_with_the_network(standing: Commands) -> None:
    standing.run("down")
    assert not any(node["running"] for node in standing.facts("status")["nodes"])
    command = [*standing.devnet, "up", "--attach", "--dir", str(standing.folder)]
    with subprocess.Popen(
        command, cwd=ROOT, env=plain_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as attached:
        assert attached.stdout
        try:
            assert any(line.startswith("node0 ") for line in attached.stdout)
            attached.send_signal(signal.SIGINT)
            attached.stdout.read()
            assert attached.wait(30) == 0
        finally:
            attached.kill()
    assert not any(node["running"] for node in standing.facts("status")["nodes"])


def test_down_and_wipe_leave_nothing(standing: Commands) -> None:
    standing.run("up")
    pids = [node["pid"] for node in standing.facts("status")["nodes"]]
    standing.run("down", "--wipe")
    assert not standing.folder.exists()
    assert [start_time(pid) for pid in pids] == [None] * 4


def test_an_interrupted_up_leaves_nothing_running_and_can_be_run_again(tmp_path: Path) -> None:
    commands = Commands([sys.executable, "-m", "devnet"], ROOT, tmp_path / "net")
    options = ("up", "--nodes", 2, "--network", "regtest", "--spacing", 1, "--api-port", free_ports(4))
    try:
        command = [*commands.devnet, *map(str, options), "--dir", str(commands.folder)]
        with subprocess.Popen(
            command, cwd=ROOT, env=plain_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as up:
            assert up.stdout
            assert any("starting the nodes" in line for line in up.stdout)
            up.send_signal(signal.SIGTERM)
            up.stdout.read()
            assert up.wait(30) != 0
        devnet = load(commands.folder)
        assert devnet
        assert not devnet.ready
        assert devnet.processes == (None, None)
        commands.run(*options)
        facts = commands.wait_for(lambda facts: (facts["nodes"][1]["height"] or 0) > FIRST_BLOCKS, "a block")
        assert facts["network"] == "regtest"
    finally:
        commands.shut_down()


def test_options_of_groatd_go_to_every_node(tmp_path: Path) -> None:
    """A page on another port can read each of them, and each publishes at a port of its own."""
    commands = Commands([sys.executable, "-m", "devnet"], ROOT, tmp_path / "net")
    port, after = free_ports(8), free_ports(8)
    while after != port + 8:  # so that the second node's port is free too
        port, after = after, free_ports(8)
    options = ("--nodes", 2, "--network", "regtest", "--api-port", free_ports(6))
    handed_on = ("--cors-origin", "http://localhost:3000", "--zmq", f"tcp://127.0.0.1:{port}", "--unlisted")
    try:
        refused = commands.run("up", *options, "--", "--role", "miner", check=False)
        assert (refused.returncode, "groatd: Invalid value for '--role'" in refused.stderr) == (2, True)
        facts = commands.facts("up", *options, "--", *handed_on)
        for index, node in enumerate(facts["nodes"]):
            assert node["options"][2:4] == ["--zmq", f"tcp://127.0.0.1:{port + 10 * index}"]
            request = urllib.request.Request(
                f"{node['api']}/api/blocks/tip/height", headers={"Origin": "http://localhost:3000"}
            )
            with urllib.request.urlopen(request) as answer:
                assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
            notifications = commands.client(index).rpc("getzmqnotifications")
            assert {row["address"] for row in notifications} == {f"tcp://127.0.0.1:{port + 10 * index}"}
        shown = commands.run("status").stdout
        assert f"ZeroMQ    tcp://127.0.0.1:{port + 10} (node 1)" in shown
        assert "options   --cors-origin http://localhost:3000 --unlisted (node 0, 1)" in shown
        paid = commands.facts("fund", ADDRESS, "max")
        assert paid["amount_sat"] + paid["fee_sat"] >= 50 * COIN  # of the second block: the first is being split
        pids = [node["pid"] for node in facts["nodes"]]
        grown = commands.facts("up", "--nodes", 3)["nodes"]
        assert [node["pid"] for node in grown[:2]] == pids
        assert (grown[2]["running"], grown[2]["options"]) == (True, [])
        commands.run("down")
        facts = commands.facts("up", "--plain")
        assert [node["options"] for node in facts["nodes"]] == [[], [], []]
        commands.wait_for(one_tip, "one tip")
    finally:
        commands.shut_down()


def test_the_wheel_in_an_empty_environment(tmp_path: Path) -> None:
    """What an index would serve: built from a copy of the sources, installed where nothing else is."""
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in ("chain", "node", "wallet", "devnet"):
        shutil.copytree(ROOT / part, source / part, ignore=ignored)
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, source)
    programs = tmp_path / "venv" / "bin"
    venv.create(programs.parent)
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "--quiet", "--disable-pip-version-check"]

    def run_pip(*arguments: str) -> None:
        environment = plain_environment()  # or pip may find this checkout's own metadata, and do nothing
        outcome = subprocess.run(
            [*pip, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr

    run_pip("wheel", "--no-deps", "--wheel-dir", "dist", str(source))
    shutil.rmtree(source)
    run_pip("install", "--no-compile", *map(str, (tmp_path / "dist").glob("groat-*.whl")))
    commands = Commands([str(programs / "devnet")], tmp_path, tmp_path / "net")
    try:
        commands.run("up", "--nodes", 2, "--spacing", 2, "--api-port", free_ports(4))
        facts = commands.wait_for(one_tip, "one tip")
        assert all(node["height"] >= FIRST_BLOCKS for node in facts["nodes"])
        explorer = NodeClient(facts["nodes"][0]["api"].removeprefix("http://"), Path(facts["nodes"][0]["cookie"]))
        assert int(explorer.get("/blocks/tip/height")) >= FIRST_BLOCKS
        assert "Latest block" in explorer.get("/explorer/")
        assert "--accent" in explorer.get("/explorer/static/explorer.css")
        for script in ("groatd", "wallet"):
            helped = subprocess.run([programs / script, "--help"], capture_output=True, check=False)
            assert helped.returncode == 0
        commands.run("down", "--wipe")
    finally:
        commands.shut_down()
