"""The tours of README and docs/, and every example of the API, run against real nodes.

A tour is a block behind `<!-- tour: NAME -->`. Its commands run as they stand; only
ports and the places of programs and data differ. Output has to have the shape shown: the same
lines, but for numbers, hashes, addresses and the spaces between columns.
"""

import re
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest

from tests.functional.api_examples import answers_of, fits, shown_answers
from tests.functional.shell import ROOT, SHOWN_DATA, SHOWN_HOME, Shell, at_home
from tests.node.processes import eventually

DOCS = [(ROOT / name).read_text() for name in ("README.md", "docs/commands.md")]
API_DOC = (ROOT / "docs" / "api.md").read_text()


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


def shape(line: str, home: str, data: str) -> str:
    """A line without what differs from run to run."""
    line = line.replace(home, SHOWN_HOME).replace(f"{SHOWN_HOME}/{data}", f"{SHOWN_HOME}/{SHOWN_DATA}")
    line = re.sub(r"\S*bin/(devnet|wallet)\b", r"\1", line.replace("'", ""))
    line = re.sub(r"^words:( +[a-z]+){12}$", "words: TWELVE", line)
    line = re.sub(r"\bbcrt1\w+", "ADDRESS", line)
    line = re.sub(r"\b[0-9a-f]{16,}\b|\b[0-9a-f]{8}(?= +\d+ +\d+$)", "HEX", line)  # the latter: a tip
    return " ".join(re.sub(r"\d+", "0", line).split())


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with at_home(tmp_path_factory.mktemp("home")) as shell:
        yield shell


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
    """Each example of docs/api.md: its status, its type, and the shape of what it shows."""
    shown = shown_answers(API_DOC)
    for answer in answers_of(shell, API_DOC):
        wanted = shown[answer.example]
        assert answer.label == wanted.label, answer
        assert fits(wanted.output, answer.output), f"{wanted}\n{answer}"


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
