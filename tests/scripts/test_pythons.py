"""The fast part on every Python: which are found, which are left out, and what a failure on one of them does."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAKE = """#!/bin/sh
case "$*" in
*sys.version_info*) echo {version} ;;
*install.py*) /bin/mkdir -p "$3/bin" && /bin/cp "$0" "$3/bin/python" && echo "installs $4 into $3" ;;
*pytest*) echo "tests on {version}"; exit {status} ;;
esac
"""
SHIM = "#!/bin/sh\necho 'pyenv: command not found' >&2; exit 127\n"


class Machine:
    """A PATH and a pyenv with Pythons that only tell what they are asked to do."""

    def __init__(self, folder: Path) -> None:
        self.path, self.pyenv, self.environment = folder / "bin", folder / "pyenv", folder / "venv"
        self.path.mkdir()
        for tool in ("bash", "dirname", "sh"):
            found = next(Path(part) / tool for part in ("/bin", "/usr/bin") if (Path(part) / tool).exists())
            (self.path / tool).symlink_to(found)

    def has(self, version: str, *, status: int = 0) -> None:
        self._put(self.path / f"python{version}", FAKE.format(version=version, status=status))

    def has_in_pyenv(self, version: str, *, status: int = 0) -> None:
        """With a shim on the PATH that does not work, as where another version is chosen."""
        self._put(self.path / f"python{version}", SHIM)
        program = self.pyenv / "versions" / f"{version}.1" / "bin" / "python"
        self._put(program, FAKE.format(version=version, status=status))

    def _put(self, program: Path, text: str) -> None:
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)

    def run(self, *versions: str) -> tuple[int, list[str]]:
        """The exit status, and what is shown."""
        outcome = subprocess.run(
            [ROOT / "scripts" / "pythons", *versions],
            env={"PATH": str(self.path), "PYENV_ROOT": str(self.pyenv), "GROAT_VENV": str(self.environment)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert outcome.stderr == ""
        return outcome.returncode, outcome.stdout.splitlines()

    def tested(self, version: str) -> list[str]:
        """What is shown of a Python on which the tests run."""
        installs = f"installs unit into {self.environment}-{version}"
        return [installs, f"groat: the fast part on Python {version}:", f"tests on {version}"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.has("3.11")
    return machine


def test_each_that_is_here_is_tested_and_the_others_are_named(machine: Machine) -> None:
    machine.has("3.12")
    machine.has_in_pyenv("3.13")
    assert machine.run() == (
        0,
        [
            "groat: Python 3.11 has all tests: scripts/test",
            *machine.tested("3.12"),
            *machine.tested("3.13"),
            "groat: no Python 3.14 here: its tests are left out",
        ],
    )


def test_where_there_is_one_python_nothing_is_left_to_test(machine: Machine) -> None:
    left_out = [f"groat: no Python {version} here: its tests are left out" for version in ("3.12", "3.13", "3.14")]
    assert machine.run() == (0, ["groat: Python 3.11 has all tests: scripts/test", *left_out])


def test_a_failure_on_one_is_told_after_the_others(machine: Machine) -> None:
    machine.has("3.12", status=1)
    machine.has_in_pyenv("3.13")
    machine.has("3.14", status=1)
    status, shown = machine.run("3.12", "3.13", "3.14")
    assert status == 1
    assert shown == [
        *machine.tested("3.12"), *machine.tested("3.13"), *machine.tested("3.14"), "groat: failed on Python 3.12 3.14",
    ]  # fmt: skip


def test_a_python_that_is_named_otherwise_is_not_taken_for_it(machine: Machine) -> None:
    """A link may lead to another version."""
    machine._put(machine.path / "python3.12", FAKE.format(version="3.13", status=0))
    assert machine.run("3.12") == (0, ["groat: no Python 3.12 here: its tests are left out"])
