"""A person at a terminal, whose home is a folder of its own: programs, data and ports of a test."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
SHOWN_HOME, SHOWN_DATA = "/home/you", ".local/share/groat"
SHOWN_PORT = 18443
ALONE_PORT = 18453
"""Of docs/api.md's node beside the devnet."""
PORTS = 8
"""Of the devnet, then of the single node."""
COMMAND_S = 120.0
BYTECODE = ("PYTHONPYCACHEPREFIX",)
"""Variables that say where compiled modules are: without them each start would compile the libraries anew."""
PROGRAMS = {
    "devnet": "from devnet.cli import main",
    "wallet": "from wallet.cli import main",
    "groatd": "from node.__main__ import main",
}


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
            **{name: os.environ[name] for name in BYTECODE if name in os.environ},
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
        alone = self.base + self.single - ALONE_PORT
        command = re.sub(r"\b1845[34]\b", lambda port: str(int(port[0]) + alone), command)
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


@contextmanager
def at_home(home: Path) -> Iterator[Shell]:
    """A shell in the empty folder `home`; whatever it has started has ended when this is left."""
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
