"""The tours of README and docs/, and every example of the API, run against real nodes.

A tour is a block behind `<!-- tour: NAME -->`. Its commands run as they stand; only
ports and the places of programs and data differ. Output has to have the shape shown: the same
lines, but for numbers, hashes, addresses and the spaces between columns.
"""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from tests.node.processes import eventually
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
DOCS = [(ROOT / name).read_text() for name in ("README.md", "docs/commands.md")]
API_DOC = (ROOT / "docs" / "api.md").read_text()
SHOWN_HOME, SHOWN_DATA = "/home/you", ".local/share/groat"
SHOWN_PORT = 18443
PORTS = 8
"""Of the devnet, then of the single node."""
COMMAND_S = 120.0
SEPARATOR = "-- end of answer "
PROGRAMS = {
    "devnet": "from devnet.cli import main",
    "wallet": "from wallet.cli import main",
    "groatd": "from node.__main__ import main",
}


def tours() -> dict[str, list[tuple[str, list[str]]]]:
    """The tours by name: each command with the lines shown below it."""
    found = {}
    for name, block in re.findall(r"<!-- tour: (\w+) -->\n```\n(.*?)```", "\n".join(DOCS), re.DOTALL):
        steps: list[tuple[str, list[str]]] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            else:
                steps[-1][1].append(line)
        found[name] = steps
    return found


@dataclass
class Shell:
    """A person at a terminal: what was exported stays, what is shown is what the terminal gets."""

    home: Path
    base: int
    """The first port; README's are counted from SHOWN_PORT."""
    data: str
    """The data folder of this system, as it would stand behind `~/`."""
    exports: list[str] = field(default_factory=list)
    single: int = 6
    """Where among the ports those of a groatd are that is told of none."""

    @property
    def environment(self) -> Mapping[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("GROAT_", "PYTHON", "XDG_"))}
        return {
            **kept,
            "HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "TERM": "dumb",
            "COLUMNS": "400",
            "LINES": "50",
            "GROAT_DEVNET_API_PORT": str(self.base),
            "GROAT_DEVNET_SPACING": "2",
            "GROAT_NODE": f"http://127.0.0.1:{self.base}",
            "GROAT_API": f"127.0.0.1:{self.base + self.single}",
            "GROAT_P2P": f"127.0.0.1:{self.base + self.single + 1}",
        }

    def line(self, command: str, shift: int = 0) -> str:
        """The command with our programs, ports and folders in it."""
        command = re.sub(r"(?:scripts|\.venv/bin)/(devnet|wallet|groatd|python)\b", rf"{self.home}/bin/\1", command)
        command = re.sub(r"\b1844[3-8]\b", lambda port: str(int(port[0]) - SHOWN_PORT + self.base + shift), command)
        return command.replace(f"~/{SHOWN_DATA}", f"{self.home}/{self.data}".replace(" ", "\\ "))

    def run(self, command: str, shift: int = 0) -> list[str]:
        """What the terminal shows on standard output, line by line."""
        if command.startswith("export "):
            self.exports.append(self.line(command))
            return []
        script = "\n".join([*self.exports, self.line(command, shift)])
        leader, terminal = pty.openpty()
        with (self.home / "stderr").open("w+") as errors:
            process = subprocess.Popen(
                ["bash", "-c", script], cwd=ROOT, env=self.environment, stdin=terminal, stdout=terminal, stderr=errors
            )
            os.close(terminal)
            shown = read_all(leader)
            status = process.wait(COMMAND_S)
            errors.seek(0)
            assert status == 0, f"{command}\n{shown}{errors.read()}"
        return [line.rstrip() for line in shown.splitlines()]


def read_all(leader: int) -> str:
    """What is written to a terminal until nobody holds it any more."""
    content = b""
    with os.fdopen(leader, "rb", buffering=0) as stream:
        while True:
            try:
                piece = stream.read(65536)
            except OSError:  # Linux's way of saying end of file
                break
            if not piece:
                break
            content += piece
    return content.decode()


def shape(line: str, home: str, data: str) -> str:
    """A line without what differs from run to run."""
    line = line.replace(home, SHOWN_HOME).replace(f"{SHOWN_HOME}/{data}", f"{SHOWN_HOME}/{SHOWN_DATA}")
    line = re.sub(r"\S*bin/(devnet|wallet)\b", r"\1", line.replace("'", ""))
    line = re.sub(r"^words:( +[a-z]+){12}$", "words: TWELVE", line)
    line = re.sub(r"\bbcrt1\w+", "ADDRESS", line)
    line = re.sub(r"\b[0-9a-f]{16,}\b", "HEX", line)
    return " ".join(re.sub(r"\d+", "0", line).split())


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    home = tmp_path_factory.mktemp("home")
    (home / "bin").mkdir()
    for name, entry in PROGRAMS.items():
        program = home / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{entry}; main()" "$@"\n')
        program.chmod(0o755)
    (home / "bin" / "python").symlink_to(sys.executable)
    place = subprocess.run(
        [sys.executable, "-c", "import platformdirs; print(platformdirs.user_data_dir('groat', appauthor=False))"],
        env={"HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    shell = Shell(home, free_ports(PORTS), str(Path(place.stdout.strip()).relative_to(home)))
    try:
        yield shell
    finally:
        listing = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
        for row in listing.stdout.splitlines():
            pid, _, command = row.strip().partition(" ")
            if str(home) in command:
                os.kill(int(pid), signal.SIGKILL)


def follow(shell: Shell, name: str, shift: int = 0) -> None:
    """Take a tour, and compare what it shows."""
    for command, shown in tours()[name]:
        output = shell.run(command, shift)
        given = [shape(line, str(shell.home), shell.data) for line in output]
        wanted = [shape(line, SHOWN_HOME, SHOWN_DATA) for line in shown]
        if " logs " in command:  # which links come first is chance
            given, wanted = [log_shape(line) for line in given], [log_shape(line) for line in wanted]
        assert given == wanted, command


def log_shape(line: str) -> str:
    return re.sub(r"(INFO|WARNING) \w+: .*", "LEVEL area: event", line)


def test_the_tour_of_a_devnet(shell: Shell) -> None:
    for name in ("up", "send", "address", "break", "wallet", "devnet"):
        follow(shell, name)
    check_every_api_example(shell)
    follow(shell, "down")
    assert not (shell.home / shell.data / "devnet").exists()


def check_every_api_example(shell: Shell) -> None:
    """The set-up of docs/api.md and then each example, at node 1: without node 0 no block comes in between."""
    shell.run("scripts/devnet stop 0")
    setup = re.search(r"```\n(.*?)```", API_DOC, re.DOTALL)
    assert setup
    examples = re.findall(r"\| `((?:curl|rpc) .*?)` \|$", API_DOC, re.MULTILINE)
    assert len(examples) > 50
    # The wallet locks payments to the tip's height, so below it they go; blocks take them; `stop` ends the node asked.
    last = ("rpc invalidate", "rpc reconsider", "rpc generate", "rpc stop")
    examples.sort(key=lambda example: next((rank for rank, word in enumerate(last, 1) if example.startswith(word)), 0))
    script = [setup[1].replace("/node0/", "/node1/")]
    for example in examples:
        script += [example.replace("curl ", "curl --fail ", 1), f'echo "{SEPARATOR}$?"']
    shown = "\n".join(shell.run("\n".join(script), shift=2))
    answers = re.findall(rf"(.*?){SEPARATOR}(\d+)", shown, re.DOTALL)
    assert len(answers) == len(examples)
    for example, (answer, status) in zip(examples, answers, strict=True):
        assert status == "0", f"{example}\n{answer}"
        if example.startswith("rpc "):
            assert json.loads(answer)["error"] is None, f"{example}\n{answer}"


@contextmanager
def running(shell: Shell, command: str, shown: Iterable[str]) -> Iterator[None]:
    """A program that stays, from its first lines, which are compared, to Ctrl-C."""
    start = ["bash", "-c", "exec " + shell.line(command)]
    with subprocess.Popen(start, cwd=ROOT, env=shell.environment, stderr=subprocess.PIPE, text=True) as node:
        assert node.stderr
        try:
            given = [shape(node.stderr.readline(), str(shell.home), shell.data) for _ in shown]
            assert given == [shape(line, SHOWN_HOME, SHOWN_DATA) for line in shown], command
            yield
        finally:
            node.send_signal(signal.SIGINT)
            node.stderr.read()
    assert node.returncode == 0


def test_the_tour_of_a_single_node(shell: Shell) -> None:
    ((command, shown),) = tours()["groatd"]
    with running(shell, command, shown):
        follow(shell, "ask", shift=6)
    follow(shell, "verify")
    follow(shell, "reindex")


def test_the_tour_of_two_nodes(shell: Shell) -> None:
    shell = replace(shell, single=0)  # where the devnet was
    (first, second), look = tours()["two"], tours()["look"]
    with running(shell, *first), running(shell, *second):
        for command, shown in look:  # these have no numbers that differ from run to run
            wanted = [shell.line(line).strip() for line in shown]
            eventually(partial(is_shown, shell, command, wanted), f"{command}: {wanted}")


def is_shown(shell: Shell, command: str, wanted: list[str]) -> bool:
    return [line.strip() for line in shell.run(command)] == wanted
