"""Setting up a checkout: which Python, when to install again, and what an interruption leaves."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"


@pytest.fixture
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", SCRIPTS / "install.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Workshop:
    """A checkout on paper: venv and pip only leave notes of what they did."""

    def __init__(self, install: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.install = install
        self.root = folder / "checkout"
        self.environment = self.root / ".venv"
        self.done: list[str] = []
        self.compiler = True
        self.pip: Callable[[], list[str]] = list
        for package in ("chain", "node/mining"):
            (self.root / package).mkdir(parents=True)
        (self.root / "pyproject.toml").write_text("one")
        (self.root / "chain" / "_sha256d.c").write_text("one")
        (self.root / "node" / "mining" / "_hashloop.c").write_text("one")
        monkeypatch.setattr(install.venv, "create", self._create)
        monkeypatch.setattr(install, "pip_install", self._pip_install)
        monkeypatch.setattr(install, "runs", Path.exists)
        monkeypatch.setattr(install, "can_compile", lambda: self.compiler)
        monkeypatch.setattr(install, "is_compiled", lambda python: self.compiler)
        monkeypatch.setattr(install.subprocess, "run", lambda *_, **__: None)

    def _create(self, environment: Path, *, with_pip: bool) -> None:
        self.done.append("venv")
        (environment / "bin").mkdir(parents=True)
        (environment / "bin" / "python").touch()

    def _pip_install(self, python: Path, root: Path, extras: list[str], progress: object) -> list[str]:
        self.done.append(f"pip {','.join(extras)}".strip())
        return self.pip()

    def run(self, extra: str = "") -> list[str]:
        """What setting up has done this time."""
        self.done.clear()
        assert self.install.main(self.root, self.environment, extra) == 0
        return self.done


@pytest.fixture
def workshop(install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    return Workshop(install, tmp_path, monkeypatch)


def test_once_is_enough(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    assert workshop.run() == ["venv", "pip"]
    assert capsys.readouterr().err.splitlines() == [
        f"groat: installing into {workshop.environment}, once (some 70 MB; a minute or more):",
        f"  1/3 an environment of Python {workshop.install.VERSION} ...",
        "  2/3 packages ...",
        "  3/3 bytecode, so that the first start is quick ...",
        "groat: installed in 0 s",
    ]
    assert workshop.run() == []
    assert capsys.readouterr().err == ""
    workshop.run("test")
    assert "(with the tools of the tests, some 480 MB; a minute or more)" in capsys.readouterr().err


def test_without_a_compiler_one_line_says_so_and_one_that_comes_later_is_used(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    workshop.compiler = False
    workshop.run()
    assert "without a C compiler and Python's headers" in capsys.readouterr().err.splitlines()[-1]
    assert workshop.run() == []
    assert capsys.readouterr().err == ""
    workshop.compiler = True
    assert workshop.run() == ["pip"]
    assert "C compiler" not in capsys.readouterr().err
    workshop.compiler = False
    assert workshop.run() == []  # what is compiled stays


def test_another_python_begins_again(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop.run("test")
    monkeypatch.setattr(workshop.install, "VERSION", "3.99")
    assert workshop.run() == ["venv", "pip test"]
    assert workshop.run() == []


def test_extras_are_added_and_stay(workshop: Workshop) -> None:
    workshop.run()
    assert workshop.run("test") == ["pip test"]
    assert workshop.run() == []
    assert workshop.run("test") == []


@pytest.mark.parametrize("file", ["pyproject.toml", "chain/_sha256d.c", "node/mining/_hashloop.c"])
def test_a_change_in_what_is_built_is_installed_again(workshop: Workshop, file: str) -> None:
    workshop.run("test")
    (workshop.root / file).write_text("two")
    assert workshop.run() == ["pip test"]
    assert workshop.run() == []


def test_a_moved_checkout_is_installed_again(workshop: Workshop) -> None:
    workshop.run()
    workshop.root = workshop.root.rename(workshop.root.with_name("moved"))
    workshop.environment = workshop.root / ".venv"
    assert workshop.run() == ["pip"]


def test_an_interrupted_install_begins_again(workshop: Workshop) -> None:
    def interrupt() -> list[str]:
        raise KeyboardInterrupt

    workshop.pip = interrupt
    with pytest.raises(KeyboardInterrupt):
        workshop.run()
    workshop.pip = list
    assert workshop.run() == ["venv", "pip"]
    (workshop.root / "pyproject.toml").write_text("two")
    workshop.pip = interrupt
    with pytest.raises(KeyboardInterrupt):
        workshop.run()
    workshop.pip = list
    assert workshop.run() == ["venv", "pip"]


def test_a_python_that_is_gone_begins_again(workshop: Workshop) -> None:
    workshop.run()
    (workshop.environment / "bin" / "python").unlink()
    assert workshop.run() == ["venv", "pip"]


def test_what_could_not_be_installed_is_one_line(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    workshop.pip = lambda: ["py-bitcoinkernel==0.1.0a5"]
    workshop.run("test")
    assert "could not install py-bitcoinkernel==0.1.0a5:" in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_of_somebody_elses_is_left_alone(workshop: Workshop) -> None:
    workshop.environment = workshop.root / "documents"
    workshop.environment.mkdir()
    (workshop.environment / "thesis").touch()
    with pytest.raises(OSError, match="no virtual environment"):
        workshop.run()
    assert (workshop.environment / "thesis").exists()


def pip_that(folder: Path, program: str) -> Path:
    """A Python whose pip does this; `$5` and on are pip's own arguments."""
    fake(folder, "python", program)
    return folder / "python"


def test_pip_failing_shows_all_it_said(
    install: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = pip_that(tmp_path, "echo line one; echo line two; echo ERROR: no >&2; exit 1")
    with pytest.raises(SystemExit) as ended, install.step("2/3 packages") as progress:
        install.pip_install(python, tmp_path, [], progress)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "line one\nline two\nERROR: no\ngroat: pip could not install the project" in said


def test_an_extra_that_fails_does_not_take_the_rest_along(install: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project.optional-dependencies]\ntest = ["good", "bad", "fine"]\n')
    python = pip_that(tmp_path, 'case "$*" in *"[test]"|*" bad") exit 1;; esac')
    assert install.pip_install(python, tmp_path, ["test"], install.Progress("")) == ["bad"]


def test_what_pip_is_at_is_said_now_and_then(
    install: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "echo 'Collecting flask<4,>=3 (from groat==0.1.0)'; echo '  Downloading flask-3.1.whl (103 kB)'; "
    said += "echo noise; echo 'Installing collected packages: flask, rich'"
    python = pip_that(tmp_path, said)
    with install.step("2/3 packages") as progress:
        install.pip_install(python, tmp_path, [], progress)
    assert capsys.readouterr().err == "  2/3 packages ...\n"  # it was quick
    monkeypatch.setattr(install, "REPEAT_S", 0.0)
    with install.step("2/3 packages") as progress:
        install.pip_install(python, tmp_path, [], progress)
    assert capsys.readouterr().err.splitlines() == [
        "  2/3 packages ...",
        "  2/3 packages: collecting flask<4,>=3",
        "  2/3 packages: downloading flask-3.1.whl",
        "  2/3 packages: unpacking 2 packages",
    ]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with install.step("2/3 packages") as progress:
        install.pip_install(python, tmp_path, [], progress)
    assert capsys.readouterr().err.endswith("\r\x1b[K  2/3 packages: unpacking 2 packages\r\x1b[K")


def test_two_at_once_take_turns(workshop: Workshop, tmp_path: Path) -> None:
    """The second finds the work done."""
    program = "import fcntl, sys; lock = open(sys.argv[1], 'w'); fcntl.flock(lock, fcntl.LOCK_EX); print(flush=True); "
    program += "sys.stdin.read()"
    lock = workshop.environment.with_name(".venv.lock")
    with subprocess.Popen(
        [sys.executable, "-c", program, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdin
        assert first.stdout
        assert first.stdout.readline()
        second = subprocess.Popen(
            [sys.executable, str(SCRIPTS / "install.py"), str(workshop.root), str(workshop.environment)],
            stderr=subprocess.DEVNULL,
        )
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(0.5)  # it waits for the first
        stamp = workshop.environment / workshop.install.STAMP
        workshop.install.install(workshop.root, workshop.environment, "")
        assert stamp.exists()
        first.stdin.close()
        assert second.wait(20) == 0
    assert json.loads(stamp.read_text())["extras"] == []


def fake(folder: Path, name: str, program: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)


@pytest.fixture
def path_of_fakes(tmp_path: Path) -> Path:
    """A PATH with a shell and no Python at all."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("bash", "dirname", "sh", "cat"):
        found = next(Path(part) / tool for part in ("/bin", "/usr/bin") if (Path(part) / tool).exists())
        (folder / tool).symlink_to(found)
    return folder


def set_up(path: Path, tmp_path: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """Source python.sh as scripts/devnet does, with `install.py` replaced by a note of who runs it."""
    program = f'. "{SCRIPTS}/python.sh"; find_python && echo "uses $PYTHON"'
    environment = {"PATH": str(path), "GROAT_VENV": str(tmp_path / "venv")} | more
    return subprocess.run(["/bin/bash", "-c", program], env=environment, capture_output=True, text=True, check=False)


GOOD = f'exec "{sys.executable}" "$@"'
BROKEN_SHIM = "echo 'pyenv: command not found' >&2; exit 127"
TOO_NEW = "echo 3.15"
TOO_OLD = "echo 3.10"
NO_VENV = 'case "$2" in *ensurepip*) exit 1;; esac; echo 3.12'


def test_the_first_python_that_works_is_taken(path_of_fakes: Path, tmp_path: Path) -> None:
    fake(path_of_fakes, "python3.11", BROKEN_SHIM)
    fake(path_of_fakes, "python3.12", NO_VENV)
    fake(path_of_fakes, "python3", GOOD)
    outcome = set_up(path_of_fakes, tmp_path)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "uses python3\n", "")


@pytest.mark.parametrize(
    ("programs", "line"),
    [
        ({}, "groat: needs Python 3.11, 3.12, 3.13 or 3.14, and found none"),
        ({"python3.11": BROKEN_SHIM, "python3": TOO_NEW}, "groat: needs Python 3.11, 3.12, 3.13 or 3.14, and found"),
        ({"python": TOO_OLD}, "groat: needs Python 3.11, 3.12, 3.13 or 3.14, and found none"),
        (
            {"python3": NO_VENV, "python": NO_VENV},
            "groat: python3 has no venv module: install it (Debian: apt install python3.12-venv), and run this again",
        ),
        ({"python3.11": NO_VENV, "python3": TOO_NEW}, "groat: python3.11 has no venv module"),
    ],
    ids=["none", "too new", "too old", "no venv", "no venv in the first"],
)
def test_no_python_that_works_is_one_line(
    programs: dict[str, str], line: str, path_of_fakes: Path, tmp_path: Path
) -> None:
    for name, program in programs.items():
        fake(path_of_fakes, name, program)
    outcome = set_up(path_of_fakes, tmp_path)
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith(line)
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_every_version_that_is_promised_is_taken(version: str, path_of_fakes: Path, tmp_path: Path) -> None:
    fake(path_of_fakes, f"python{version}", f"echo {version}")
    assert set_up(path_of_fakes, tmp_path).stdout == f"uses python{version}\n"


@pytest.mark.parametrize(
    ("program", "trouble"),
    [
        (BROKEN_SHIM, "cannot be run"),
        ("", "cannot be run"),
        (TOO_OLD, "is Python 3.10, and Python 3.11, 3.12, 3.13 or 3.14 is needed"),
        (NO_VENV, "has no venv module: install it (Debian: apt install python3.12-venv)"),
    ],
)
def test_a_python_that_is_named_is_used_or_refused(
    program: str, trouble: str, path_of_fakes: Path, tmp_path: Path
) -> None:
    """Though another one would do, and one has done before."""
    fake(path_of_fakes, "python3", GOOD)
    fake(path_of_fakes, "mine", program)
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "groat-stamp.json").touch()
    fake(tmp_path / "venv" / "bin", "python", GOOD)
    outcome = set_up(path_of_fakes, tmp_path, GROAT_PYTHON="mine")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == f"groat: GROAT_PYTHON: mine {trouble}\n"
    assert set_up(path_of_fakes, tmp_path, GROAT_PYTHON="python3").stdout == "uses python3\n"


def test_a_python_that_was_good_before_is_taken_at_once(path_of_fakes: Path, tmp_path: Path) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "groat-stamp.json").touch()
    fake(tmp_path / "venv" / "bin", "python", GOOD)
    assert set_up(path_of_fakes, tmp_path).stdout == f"uses {tmp_path}/venv/bin/python\n"


@pytest.mark.parametrize("script", ["scripts/devnet", "scripts/test", "scripts/pythons", ".ci/run"])
def test_scripts_can_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["/bin/bash", "-n", ROOT / script], check=True)
