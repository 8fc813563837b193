"""Command lines, ports and waiting, with stand-ins for nodes; real nodes are in tests/functional."""

import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devnet import network, processes
from devnet.network import NodeStatus, check_ports, kill, node_command, node_status, start, stop, tail
from devnet.rpc import NodeRpcError
from devnet.state import Devnet, DevnetError, Process, load
from tests.ports import free_ports


def options_of(command: list[str]) -> dict[str, list[str]]:
    """Option -> its values, after `python -P -m node`."""
    assert command[1:4] == ["-P", "-m", "node"]
    found: dict[str, list[str]] = {}
    for option, given in zip(command[4::2], command[5::2], strict=True):
        found.setdefault(option, []).append(given)
    return found


def test_a_mining_node(devnet: Devnet) -> None:
    assert options_of(node_command(devnet, 0)) == {
        "--network": [str(devnet.folder / "network.toml")],
        "--datadir": [str(devnet.folder / "node0")],
        "--api": ["127.0.0.1:18443"],
        "--p2p": ["127.0.0.1:18444"],
        "--log-file": [str(devnet.folder / "node0" / "log")],
        "--name": ["node 0"],
        "--peer": ["127.0.0.1:18446", "127.0.0.1:18448"],
        "--mine": [devnet.address],
        "--mine-threads": ["1"],
        "--mine-duty": ["20"],
    }


def test_other_nodes_do_not_mine(devnet: Devnet) -> None:
    options = options_of(node_command(devnet, 2))
    assert not [option for option in options if option.startswith("--mine")]
    assert options["--peer"] == ["127.0.0.1:18444", "127.0.0.1:18446"]


def test_regtest_mines_by_the_clock(devnet: Devnet) -> None:
    options = options_of(node_command(replace(devnet, network="regtest", spacing_s=3), 0))
    assert options["--network"] == ["regtest"]
    assert options["--mine-interval"] == ["3"]


def test_a_lone_node_has_no_peers(devnet: Devnet) -> None:
    assert "--peer" not in options_of(node_command(replace(devnet, nodes=1), 0))


def test_many_nodes_have_a_few_peers_each_and_hang_together(devnet: Devnet) -> None:
    many = replace(devnet, nodes=30, processes=(None,) * 30, options=((),) * 30)
    peers = [options_of(node_command(many, index))["--peer"] for index in range(30)]
    assert {len(row) for row in peers} == {network.PEERS_PER_NODE}
    assert all(many.p2p(index) not in row for index, row in enumerate(peers))
    assert {many.p2p(index) for index in range(30)} == {peer for row in peers for peer in row}


@pytest.mark.parametrize("offset", [0, 1, 5])
def test_a_port_in_use_is_named(devnet: Devnet, offset: int) -> None:
    base = free_ports(6)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + offset))
        taken.listen()
        with pytest.raises(DevnetError, match=rf"port {base + offset}, .*--api-port"):
            check_ports(replace(devnet, api_port=base), range(3))


def test_a_node_that_ends_at_once_says_why(devnet: Devnet, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import sys; print('starting'); sys.exit('groatd: the disk is full')"
    monkeypatch.setattr(network, "node_command", lambda *_: [sys.executable, "-c", program, str(devnet.datadir(1))])
    monkeypatch.setattr(network, "check_ports", lambda *_: None)
    with pytest.raises(DevnetError, match="node 1 ended: groatd: the disk is full"):
        start(replace(devnet, api_port=free_ports(6)), [1], lambda _: None)


def test_a_node_that_never_answers_is_given_up(stand_in: Devnet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "READY_S", 0.2)
    with pytest.raises(DevnetError, match="node 0 did not answer within"):
        start(stand_in, [0], lambda _: None)


DEAF = """
import signal, sys
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True: signal.pause()
"""


@pytest.fixture
def stand_in(devnet: Devnet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Devnet]:
    """A devnet whose nodes do nothing but live; node 1 does not mind SIGTERM."""

    def command(devnet: Devnet, index: int) -> list[str]:
        kind = "stubborn" if index == 1 else "meek"
        return [sys.executable, "-c", DEAF, str(devnet.datadir(index)), kind]

    monkeypatch.setattr(network, "node_command", command)
    monkeypatch.setattr(network, "check_ports", lambda *_: None)
    monkeypatch.setattr(network, "STOP_S", 0.5)
    devnet = replace(devnet, api_port=free_ports(6))  # nobody may answer in their place
    yield devnet
    left = load(devnet.folder) or devnet
    for index in range(devnet.nodes):
        kill(left, index)


def started(devnet: Devnet, monkeypatch: pytest.MonkeyPatch) -> Devnet:
    def wait_until_up(devnet: Devnet, index: int, _: object) -> None:
        while tail(devnet.log(index), 1) != ["up"]:
            assert network.is_running(devnet, index)

    monkeypatch.setattr(network, "wait_ready", wait_until_up)
    return start(devnet, range(3), lambda _: None)


def test_start_stop_and_kill_keep_the_state_file_true(stand_in: Devnet, monkeypatch: pytest.MonkeyPatch) -> None:
    devnet = started(stand_in, monkeypatch)
    assert load(devnet.folder) == devnet
    assert [network.is_running(devnet, index) for index in range(3)] == [True] * 3
    assert node_status(devnet, 0) == NodeStatus(running=True)  # alive and deaf

    assert started(devnet, monkeypatch) == devnet  # running nodes are left alone

    stopped = stop(devnet, [0], lambda _: None)
    assert load(devnet.folder) == stopped
    assert stopped.processes == (None, *devnet.processes[1:])
    assert not network.is_running(devnet, 0)
    assert node_status(stopped, 0) == NodeStatus(running=False)

    killed = kill(stopped, 2)
    assert not network.is_running(devnet, 2)
    assert stop(killed, [0, 2], lambda _: None) == killed  # nothing to do


def test_what_a_node_warns_of_is_told_once(devnet: Devnet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its storage and of its links; both answers have the former."""
    lost, clock = "3 blocks were lost, and are asked for again", "the clock is 80 s behind the peers'"
    answers: dict[str, object] = {
        "getblockchaininfo": {"blocks": 7, "bestblockhash": "ab", "warnings": [lost]},
        "getpeerinfo": [{}, {}],
        "getmempoolinfo": {"size": 3},
        "getnetworkinfo": {"warnings": [clock, lost]},
    }

    class Answering:
        def answers(self, calls: list[tuple[str, tuple[()]]]) -> list[object]:
            return [answers[method] for method, _ in calls]

    monkeypatch.setattr(network, "is_running", lambda *_: True)
    monkeypatch.setattr(network, "client", lambda *_: Answering())
    assert node_status(devnet, 0) == NodeStatus(True, 7, "ab", 2, 3, (lost, clock))
    answers["getmempoolinfo"] = NodeRpcError(-1, "this node is a light one")
    assert node_status(devnet, 0) == NodeStatus(True, 7, "ab", 2, None, (lost, clock))
    answers["getblockchaininfo"] = NodeRpcError(-28, "Loading block index")
    assert node_status(devnet, 0) == NodeStatus(running=True)


def test_a_stubborn_node_is_named_or_killed(stand_in: Devnet, monkeypatch: pytest.MonkeyPatch) -> None:
    devnet = started(stand_in, monkeypatch)
    with pytest.raises(DevnetError, match="devnet kill 1"):
        stop(devnet, range(3), lambda _: None)
    devnet = load(devnet.folder) or devnet
    devnet = stop(devnet, range(3), lambda _: None, force=True)
    assert devnet.processes == (None, None, None)
    assert not any(network.is_running(devnet, index) for index in range(3))


def test_tail(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log, 3) == []
    log.write_text("one\ntwo\n\nthree\n")
    assert tail(log, 2) == ["two", "three"]
    assert tail(log, 0) == []
    assert network.last_line(log) == "three"
    assert network.last_line(tmp_path / "none") == f"nothing in {tmp_path / 'none'}"
    log.write_text("x" * network.LOG_TAIL_BYTES + "\nend\n")
    assert tail(log, 1) == ["end"]


def test_a_process_from_before_a_reboot_is_left_alone(stand_in: Devnet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state file names a process that is another one now."""
    devnet = started(stand_in, monkeypatch)
    process = devnet.processes[0]
    assert process
    stale = devnet.with_process(0, replace(process, started="0"))
    assert not network.is_running(stale, 0)
    stop(stale, [0], lambda _: None, force=True)
    assert processes.is_running(process, devnet.datadir(0))
    kill(devnet, 0)


def test_an_interrupted_start_has_written_down_what_it_started(
    stand_in: Devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = processes.spawn

    def spawn_and_ctrl_c(command: list[str], log: Path) -> Process:
        process = real(command, log)
        signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(processes, "spawn", spawn_and_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        start(stand_in, [0], lambda _: None)
    devnet = load(stand_in.folder)
    assert devnet
    assert network.is_running(devnet, 0)
