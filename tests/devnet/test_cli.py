"""Devnet's command line as users meet it: one line for each mistake, and nothing created by looking."""

import json
import os
import re
import subprocess
import sys
import threading
import webbrowser
from dataclasses import replace
from pathlib import Path

import click
import pytest

from devnet import funds, network
from devnet.cli import cli
from devnet.network import NodeStatus
from devnet.options import run
from devnet.state import Devnet, Process, load, locked, save
from wallet.errors import NodeRefused


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run `devnet ARGUMENTS` in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["devnet", *arguments])
    with pytest.raises(SystemExit) as ended:
        run(cli, "devnet")
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("GROAT_"):
            monkeypatch.delenv(name)


MISUSE = (
    "",
    "nonsense",
    "up --nodes",
    "up --no-such-option",
    "up --attach --json",
    "stop",
    "fund only-an-address",
    "status --dir",
)


@pytest.mark.parametrize("line", MISUSE)
def test_misuse_shows_usage_and_exits_2(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("GROAT_DEVNET_DIR", str(tmp_path))
    assert call(monkeypatch, *line.split()) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("Usage: devnet")
    assert list(tmp_path.iterdir()) == []


BAD_VALUES = {
    "up --nodes 0": "--nodes",
    "up --nodes many": "--nodes",
    "up --spacing 0": "--spacing",
    "up --spacing 1.5": "--spacing",
    "up --network mainnet": "--network",
    "up --mine-duty 101": "--mine-duty",
    "up --api-port 80": "--api-port",
    "up --api-port 65535": "--api-port",
    "up --miners 4": "--miners",
    "up surplus": "'surplus'",
    "up -- surplus": "'surplus'",
    "up -- --datadir x": "--datadir is set by the devnet itself",
    "up -- --api=127.0.0.1:1": "--api-port BASE",
    "up -- --cors-origin * --version": "with --version a node would end at once",
    "up -- --zmq tcp://127.0.0.1:65530": "no port is left for node 1",
    "up -- --no-index": "`devnet add --dir",
    "mine 0": "BLOCKS",
    "mine x": "BLOCKS",
    "logs x": "INDEX",
    "logs 0 -n -1": "--lines",
    "stop x": "INDEX",
    "start x": "INDEX",
    "kill 1.5": "INDEX",
    "open --node x": "--node",
}


@pytest.mark.parametrize("line", BAD_VALUES)
def test_a_bad_value_is_one_line_and_exits_2(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call(monkeypatch, "--dir", str(tmp_path / "net"), *line.split()) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert captured.err.startswith("Error: ")
    assert BAD_VALUES[line] in captured.err
    assert list(tmp_path.iterdir()) == []


BAD_VALUES_HERE = {
    "stop 3": "there is no node 3: this devnet has nodes 0 to 2",
    "start -- -1": "there is no node -1: this devnet has nodes 0 to 2",
    "kill 3": "there is no node 3: this devnet has nodes 0 to 2",
    "logs 3": "there is no node 3: this devnet has nodes 0 to 2",
    "open --node 3": "there is no node 3: this devnet has nodes 0 to 2",
    "mine 1 --node 3": "there is no node 3: this devnet has nodes 0 to 2",
    "mine 1 --to nobody": "--to: 'nobody' is not a valid address of this network: not an address",
    "mine 1 --to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4": "--to: 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4' is",
    "fund nobody 1": "ADDRESS: 'nobody' is not a valid address of this network: not an address",
    "fund bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080 0": "AMOUNT: '0' ",
    "fund bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080 much": "AMOUNT: 'much' ",
    "add -- --p2p 127.0.0.1:1": "--p2p is set by the devnet itself",
}


@pytest.mark.parametrize("line", BAD_VALUES_HERE)
def test_a_value_that_this_devnet_has_no_use_for_exits_2(
    line: str, standing: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--dir", str(standing.folder), *line.split()) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert captured.err.startswith(f"Error: {BAD_VALUES_HERE[line]}")
    assert load(standing.folder) == standing


@pytest.mark.parametrize(
    "line",
    ["status", "status --json", "stop 0", "start 0", "kill 0", "logs 0", "down", "open", "mine 1", "fund bcrt1 1"],
)
def test_without_a_devnet_nothing_works_and_nothing_is_made(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "none"
    assert call(monkeypatch, *line.split(), "--dir", str(folder)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(rf"Error: there is no devnet in {re.escape(str(folder))}.*\n", captured.err)
    assert not folder.exists()


def test_an_unusable_folder_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder, status in ((file, 2), (file / "below", 1), (Path("/proc/none"), 1)):
        assert call(monkeypatch, "up", "--dir", str(folder)) == status
        assert re.fullmatch(rf"Error: .*{folder}.*\n", line := capsys.readouterr().err)
        assert "--dir" in line


def test_a_home_that_cannot_be_written_says_how_to_choose_another_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc")
    assert call(monkeypatch, "up") == 1
    said = capsys.readouterr().err
    assert re.fullmatch(r"Error: cannot make the folder /proc/\S+ \(.*\): choose another one with --dir\n", said)


def test_advice_names_the_folder_that_was_named(
    standing: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = tmp_path / "an other"
    assert call(monkeypatch, "--dir", str(other), "status") == 1
    said = capsys.readouterr().err
    assert said == f"Error: there is no devnet in {other}: start one with `devnet up --dir '{other}'`\n"
    monkeypatch.setenv("GROAT_DEVNET_DIR", str(other))  # then commands without --dir are about it
    assert call(monkeypatch, "status") == 1
    assert capsys.readouterr().err == f"Error: there is no devnet in {other}: start one with `devnet up`\n"


def test_a_damaged_state_file_is_one_line(
    devnet: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (devnet.folder / "devnet.json").write_text("{")
    assert call(monkeypatch, "status", "--dir", str(devnet.folder)) == 1
    assert re.fullmatch(r"Error: .*devnet.json is damaged.*\n", capsys.readouterr().err)


LOSS = "the block at height 7 is lost: peers are asked for it"
STATUS = {
    "network": "devnet",
    "nodes": [
        {"height": 101, "tip": "ab" * 32, "peers": 2, "mempool": 5, "running": True, "options": [], "warnings": [LOSS]},
        {"height": None, "tip": None, "peers": None, "mempool": None, "running": True, "options": ["--no-index"]}
        | {"warnings": []},
        {"height": None, "tip": None, "peers": None, "mempool": None, "running": False, "options": [], "warnings": []},
    ],
}


@pytest.fixture
def standing(devnet: Devnet, monkeypatch: pytest.MonkeyPatch) -> Devnet:
    """A devnet of which node 0 answers, node 1 is busy and node 2 is down; its wallet holds 1.5 coins."""
    answers = [NodeStatus(True, 101, "ab" * 32, 2, 5, (LOSS,)), NodeStatus(running=True), NodeStatus(running=False)]
    answers.append(NodeStatus(running=False))  # of a node that is added
    monkeypatch.setattr(network, "node_status", lambda _, index: answers[index])
    monkeypatch.setattr(network, "is_running", lambda _, index: answers[index].running)
    monkeypatch.setattr(funds, "balance_sat", lambda *_: 150_000_000)
    processes = (Process(4711, "1"), Process(4712, "1"), None)
    return save(replace(devnet, processes=processes, options=((), ("--no-index",), ())))


@pytest.mark.parametrize("line", ["--json --dir DIR status", "status --json --dir DIR", "--dir DIR status --json"])
def test_status_json_is_exact_wherever_the_options_stand(
    line: str, standing: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *line.replace("DIR", str(standing.folder)).split()) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    facts = json.loads(captured.out)
    assert list(facts) == ["network", "dir", "nodes", "wallet"]
    assert facts["dir"] == str(standing.folder)
    assert facts["wallet"] == {
        "file": str(standing.folder / "wallet.json"),
        "address": standing.address,
        "balance_sat": 150_000_000,
    }
    assert facts["nodes"][0] == {
        "index": 0,
        "pid": 4711,
        "api": "http://127.0.0.1:18443",
        "p2p": "127.0.0.1:18444",
        "datadir": str(standing.folder / "node0"),
        "cookie": str(standing.folder / "node0" / "devnet" / ".cookie"),
        **STATUS["nodes"][0],  # type: ignore[dict-item]
    }
    assert [node["pid"] for node in facts["nodes"]] == [4711, 4712, None]
    assert [{key: node[key] for key in STATUS["nodes"][0]} for node in facts["nodes"]] == STATUS["nodes"]  # type: ignore[index]


def opened(monkeypatch: pytest.MonkeyPatch, *, works: bool = True) -> list[str]:
    """What is opened in a browser from here on."""
    urls: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: urls.append(url) or works)
    return urls


def test_open_shows_the_explorer_of_a_node_that_runs(
    standing: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    urls, here = opened(monkeypatch), ("--dir", str(standing.folder))
    first, second = (f"{standing.api_url(index)}/explorer/" for index in (0, 1))
    assert call(monkeypatch, "open", *here) == 0
    assert (urls, capsys.readouterr()) == ([first], (f"{first}\n", ""))
    assert call(monkeypatch, "open", "--node", "1", "--json", *here) == 0
    assert (urls, json.loads(capsys.readouterr().out)) == ([first, second], {"node": 1, "url": second, "opened": True})
    assert call(monkeypatch, "open", "--no-browser", *here) == 0
    assert (len(urls), capsys.readouterr()) == (2, (f"{first}\n", ""))
    assert call(monkeypatch, "open", "--node", "2", *here) == 1
    assert capsys.readouterr().err == (
        f"Error: node 2 is not running: `devnet start --dir {standing.folder} 2` starts it\n"
    )
    assert call(monkeypatch, "mine", "1", "--node", "2", *here) == 1
    assert capsys.readouterr().err == (
        f"Error: node 2 is not running: `devnet start --dir {standing.folder} 2` starts it\n"
    )
    assert call(monkeypatch, "open", "--node", "3", *here) == 2


def test_open_without_a_browser_says_what_to_do(
    standing: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(monkeypatch, works=False)
    assert call(monkeypatch, "open", "--dir", str(standing.folder)) == 0
    url = f"{standing.api_url(0)}/explorer/"
    assert capsys.readouterr() == (f"{url}\n", "no browser was found here: open this address in one\n")


def test_the_environment_sets_what_the_command_line_does_not(
    standing: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("GROAT_DEVNET_DIR", str(standing.folder))
    monkeypatch.setenv("GROAT_DEVNET_JSON", "1")
    assert call(monkeypatch, "status") == 0
    assert json.loads(capsys.readouterr().out)["dir"] == str(standing.folder)
    assert call(monkeypatch, "status", "--dir", str(tmp_path / "other")) == 1
    assert "other" in capsys.readouterr().err


def test_a_relative_folder_means_the_same_to_every_process(
    standing: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(standing.folder.parent)
    assert call(monkeypatch, "--json", "--dir", standing.folder.name, "status") == 0
    assert json.loads(capsys.readouterr().out)["dir"] == str(standing.folder)


def test_status_for_people(
    standing: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--dir", str(standing.folder), "status") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["node", "API", "P2P", "pid", "height", "tip", "peers", "mempool"]
    assert lines[1].split() == ["0", "http://127.0.0.1:18443", "18444", "4711", "101", "abababab", "2", "5"]
    assert lines[2].split()[3:] == ["4712", "busy"]
    assert lines[3].split()[3:] == ["stopped"]
    folder = standing.folder
    assert lines[4:] == [
        f"node 0 warns: {LOSS}",
        f"network   devnet in {folder}",
        "wallet    1.50000000 coins to spend: wallet.json there, password devnet",
        "explorer  http://127.0.0.1:18443/explorer/",
        "JSON-RPC  http://127.0.0.1:18443/ with the login in node0/devnet/.cookie there",
        "options   --no-index (node 1)",
    ]


def status_of(monkeypatch: pytest.MonkeyPatch, devnet: Devnet, answers: list[NodeStatus]) -> int:
    """`devnet status` where the nodes answer so."""
    monkeypatch.setattr(network, "node_status", lambda _, index: answers[index])
    monkeypatch.setattr(funds, "balance_sat", lambda *_: 21_000_000 * 100_000_000)
    return call(monkeypatch, "--dir", str(devnet.folder), "status")


def test_the_widest_status_fits_80_columns(
    devnet: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the highest ports and pids, and after a million blocks."""
    nodes = 100
    processes = tuple(Process(4_194_304, "1") for _ in range(nodes))
    save(replace(devnet, nodes=nodes, processes=processes, api_port=65_335, options=((),) * nodes))
    assert status_of(monkeypatch, devnet, [NodeStatus(True, 1_000_000, "ab" * 32, 99, 300_000)] * nodes) == 0
    lines = capsys.readouterr().out.splitlines()
    assert str(devnet.folder) in lines.pop(nodes + 1)  # as long as it is
    assert max(map(len, lines)) <= 80


def test_all_nodes_are_asked_at_once(
    devnet: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each answers only once all have been asked."""
    together = threading.Barrier(devnet.nodes, timeout=30)

    def answer(_: Devnet, index: int) -> NodeStatus:
        together.wait()
        return NodeStatus(True, 100 + index, "ab" * 32, 2, 0)

    save(devnet)
    monkeypatch.setattr(network, "node_status", answer)
    monkeypatch.setattr(funds, "balance_sat", lambda *_: 7)
    assert call(monkeypatch, "status", "--json", "--dir", str(devnet.folder)) == 0
    assert [node["height"] for node in json.loads(capsys.readouterr().out)["nodes"]] == [100, 101, 102]


def test_a_command_imports_only_what_it_uses() -> None:
    """Whatever is not for every command takes longer to import than all that is."""
    late = {"wallet.account", "requests", "rich", "webbrowser", "chain.keys", "devnet.launch", "devnet.funds"}
    program = f"import sys, devnet.cli; print(sorted(set(sys.modules) & {late}))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_a_wallet_that_no_node_knows_of_does_not_hide_the_nodes(
    devnet: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nodes without an index, or light ones, are asked in vain; the next highest is asked then."""
    asked: list[str] = []

    def balance(_: Devnet, url: str) -> int:
        asked.append(url)
        if url != devnet.api_url(0):
            raise NodeRefused("the coins", 400, "the address index is off")
        return 7

    save(devnet)
    monkeypatch.setattr(network, "node_status", lambda _, index: NodeStatus(True, 100 + index, "ab" * 32, 2, 0))
    monkeypatch.setattr(funds, "balance_sat", balance)
    assert call(monkeypatch, "status", "--json", "--dir", str(devnet.folder)) == 0
    assert json.loads(capsys.readouterr().out)["wallet"]["balance_sat"] == 7
    assert asked == [devnet.api_url(index) for index in (2, 1, 0)]


def test_nodes_that_lag_or_stand_still_have_a_colour_on_a_terminal(
    devnet: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(replace(devnet, nodes=4, processes=(None,) * 4, options=((),) * 4))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    answers = [NodeStatus(True, height, "ab" * 32, 2, 0) for height in (105, 104, 103)] + [NodeStatus(running=False)]
    assert status_of(monkeypatch, devnet, answers) == 0
    lines = capsys.readouterr().out.splitlines()
    yellow, red = "\x1b[33m", "\x1b[31m"
    assert [line[:5] if line.startswith("\x1b") else "" for line in lines[1:6]] == ["", "", yellow, red, yellow]
    assert "node 2 is 2 blocks behind the highest" in lines[5]


def test_logs(standing: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    standing.datadir(1).mkdir()
    standing.log(1).write_text("one\ntwo\nthree\n")
    assert call(monkeypatch, "logs", "1", "-n", "2", "--dir", str(standing.folder)) == 0
    assert capsys.readouterr().out == "two\nthree\n"
    assert call(monkeypatch, "--json", "logs", "1", "--dir", str(standing.folder)) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == {"index": 1, "file": str(standing.log(1)), "lines": ["one", "two", "three"]}
    assert call(monkeypatch, "--json", "logs", "1", "-f", "--dir", str(standing.folder)) == 2


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("--nodes 2", "this devnet has 3 nodes, and none can be taken away: `devnet stop I` stops one,"),
        ("--spacing 5", "--spacing of this devnet is 10: to change it, run `devnet down --wipe` first"),
        ("--network regtest", "--network of this devnet is devnet: to change it, run `devnet down --wipe` first"),
        ("--miners 2", "--miners of this devnet is 1: to change it, run `devnet down` first"),
        ("--api-port 20000", "--api-port of this devnet is 18443: to change it, run `devnet down` first"),
        ("-- --cors-origin *", "to change options of groatd, run `devnet down` first"),
        ("--plain", "to change options of groatd, run `devnet down` first"),
    ],
)
def test_changing_what_cannot_change_is_refused(
    option: str, remedy: str, standing: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GROAT_DEVNET_DIR", str(standing.folder))
    assert call(monkeypatch, "up", *option.split()) == 1
    assert capsys.readouterr().err.startswith(f"Error: {remedy}")
    assert load(standing.folder) == standing


def test_what_is_for_life_does_not_change_while_it_is_down_either(
    standing: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(network, "is_running", lambda *_: False)
    assert call(monkeypatch, "up", "--spacing", "4", "--dir", str(standing.folder)) == 1
    assert "--wipe" in capsys.readouterr().err
    assert load(standing.folder) == standing


def test_what_can_change_changes_while_it_is_down(standing: Devnet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "is_running", lambda *_: False)
    monkeypatch.setattr(network, "start", lambda devnet, *_: devnet)
    options = ["--nodes", "3", "--miners", "2", "--api-port", "20000", "--json"]
    assert call(monkeypatch, "up", *options, "--dir", str(standing.folder)) == 0
    assert load(standing.folder) == replace(standing, miners=2, api_port=20000)
    assert call(monkeypatch, "up", "--plain", "--nodes", "4", "--json", "--dir", str(standing.folder)) == 0
    changed = load(standing.folder)
    assert changed
    assert (changed.nodes, changed.options, changed.processes) == (4, ((),) * 4, (*standing.processes, None))


def test_help_documents_every_option_with_its_variable() -> None:
    context = click.Context(cli, info_name="devnet")
    commands = [cli, *cli.commands.values()]
    for command in commands:
        text = command.get_help(click.Context(command, parent=None if command is cli else context, info_name="x"))
        for option in command.params:
            if not isinstance(option, click.Option):
                continue
            assert option.help, f"{command.name} {option.name}"
            long = next(name for name in option.opts if name.startswith("--"))
            assert long in text
            shared = option.name == "version" or (option.name in ("folder", "as_json") and command is not cli)
            variable = "GROAT_DEVNET_" + long.removeprefix("--").replace("-", "_").upper()
            assert option.envvar == (None if shared else variable)
            assert shared or variable in " ".join(text.split()).replace("env var: ", "")


def test_help_has_examples_and_completion(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--help") == 0
    text = capsys.readouterr().out
    assert "devnet up --nodes 5" in text
    assert "_DEVNET_COMPLETE=bash_source" in text


def test_a_reader_that_goes_away_is_no_traceback(standing: Devnet) -> None:
    """As in `devnet logs 0 | head -1`."""
    standing.datadir(1).mkdir()
    standing.log(1).write_text("line\n" * 10_000)
    command = [sys.executable, "-m", "devnet", "logs", "1", "-n", "10000", "--dir", str(standing.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stderr
        child.stdout.close()
        assert child.stderr.read() == b""


def test_commands_take_turns(
    standing: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("devnet.state.LOCK_WAIT_S", 0.1)
    with locked(standing.folder):
        assert call(monkeypatch, "down", "--dir", str(standing.folder)) == 1
    assert "another devnet command is still working" in capsys.readouterr().err


def test_a_command_says_whom_it_waits_for(
    standing: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("devnet.state.LOCK_WAIT_S", 0.3)
    monkeypatch.setattr("devnet.state.LOCK_SAY_S", 0.1)
    for line in ("up", "down", "stop 0", "start 0", "kill 0", "add"):
        with locked(standing.folder):
            assert call(monkeypatch, "--dir", str(standing.folder), *line.split()) == 1
        told, error = capsys.readouterr().err.splitlines()
        assert told == f"waiting for another devnet command that is working on {standing.folder}"
        assert error.startswith("Error: another devnet command is still working")
