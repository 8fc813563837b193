"""npm's packages for the tests: installed once, again when the lock changes, and one line where that fails."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAKE_NPM = """#!/bin/sh
rm -rf node_modules
{how}
mkdir node_modules && echo "$@" >> runs
"""


class Checkout:
    """A folder with a package list, and an npm on the PATH that only takes notes."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.js = self.root / "tests" / "js"
        self.programs = folder / "bin"
        self.js.mkdir(parents=True)
        self.programs.mkdir()
        for name in ("package.json", "package-lock.json"):
            (self.js / name).write_text("{}")
        self.program("node", "#!/bin/sh\n")
        self.npm()

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def npm(self, how: str = ":") -> None:
        self.program("npm", FAKE_NPM.format(how=how))

    def run(self) -> tuple[int, int, str]:
        """How often npm has installed this time, the exit status, and what was said."""
        before = self.installs()
        env = {**os.environ, "PATH": f"{self.programs}:/usr/bin:/bin"}
        if not (self.programs / "npm").exists():
            env["PATH"] = str(self.programs)  # the machine's own npm is not to be found either
        command = [sys.executable, ROOT / "scripts" / "install_npm.py", self.root]
        outcome = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        return self.installs() - before, outcome.returncode, outcome.stderr

    def installs(self) -> int:
        runs = self.js / "runs"
        return len(runs.read_text().splitlines()) if runs.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_once_is_enough(checkout: Checkout) -> None:
    installs, status, said = checkout.run()
    assert (installs, status, said.count("\n")) == (1, 0, 1)
    assert checkout.run() == (0, 0, "")


@pytest.mark.parametrize("file", ["package.json", "package-lock.json"])
def test_a_changed_list_is_installed_again(checkout: Checkout, file: str) -> None:
    checkout.run()
    (checkout.js / file).write_text('{"name": "two"}')
    assert checkout.run()[:2] == (1, 0)
    assert checkout.run()[:2] == (0, 0)


def test_a_folder_that_is_gone_is_installed_again(checkout: Checkout) -> None:
    checkout.run()
    shutil.rmtree(checkout.js / "node_modules")
    assert checkout.run()[:2] == (1, 0)


def test_without_npm_one_line_says_what_is_left_out(checkout: Checkout) -> None:
    (checkout.programs / "npm").unlink()
    left_out = "groat: no npm here: the tests of npm's clients and of accessibility are left out\n"
    assert checkout.run() == (0, 0, left_out)


def test_an_npm_that_fails_is_told_and_tried_again(checkout: Checkout) -> None:
    checkout.npm("echo 'npm error code ENOTFOUND' >&2; exit 1")
    installs, status, said = checkout.run()
    assert (installs, status) == (0, 0)
    assert said.splitlines()[-1].startswith("groat: npm ci failed (npm error code ENOTFOUND): ")
    checkout.npm()
    assert checkout.run()[:2] == (1, 0)


def test_the_lock_names_no_registry() -> None:
    """Where packages come from is the machine's setting; what they are is in their digests."""
    lock = (ROOT / "tests" / "js" / "package-lock.json").read_text()
    assert '"resolved"' not in lock
