"""Make the checkout's virtual environment and install the project into it, once.

    python install.py ROOT VENV [EXTRA]

Standard library only: this runs before anything is installed. A stamp in the environment
says what it holds; it is written last and removed first, so that an interrupted install is
done again. Two runs at once wait for each other on a lock beside the environment. Each step
says on standard error that it has begun, and one that takes long what it is at.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STAMP = "groat-stamp.json"
PACKAGES = ("chain", "node", "wallet", "devnet")
MADE_FROM = ("pyproject.toml", "chain/_sha256d.c", "node/mining/_hashloop.c")
"""A change in these asks for another install; the rest is used where it is."""
EXTENSIONS = ("chain._sha256d", "node.mining._hashloop")
"""Compiled if that is possible."""
VERSION = ".".join(map(str, sys.version_info[:2]))
SIZES = {"": "some 70 MB", "unit": "with pytest, some 90 MB", "test": "with the tools of the tests, some 480 MB"}
"""On the disk, by extra."""
REPEAT_S = 10.0
"""How often a step that takes long says what it is at, where no terminal shows it at once."""


def main(root: Path, environment: Path, extra: str = "") -> int:
    """Bring the environment up to date; 0 if it is."""
    environment.parent.mkdir(parents=True, exist_ok=True)
    with open(environment.with_name(environment.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return install(root, environment, extra)


def install(root: Path, environment: Path, extra: str) -> int:
    """The recipe; the caller holds the lock."""
    stamp = environment / STAMP
    installed = read_stamp(stamp)
    # The environment's scripts and the editable install name these paths.
    made_from = b"".join((root / name).read_bytes() for name in MADE_FROM)
    key = hashlib.sha256(f"{root}\n{environment}\n".encode() + made_from).hexdigest()
    python = environment / "bin" / "python"
    extras = sorted({*installed.get("extras", []), extra} - {""})
    same_python = installed.get("python", VERSION) == VERSION
    # Where a compiler has come since, it is put to use.
    compiler = can_compile()
    same = installed.get("key") == key and installed.get("extras") == extras
    if same and same_python and installed.get("compiler", True) >= compiler and python.exists():
        return 0
    started = time.monotonic()
    size = next(size for name, size in reversed(SIZES.items()) if name in ("", *extras))
    say(f"groat: installing into {environment}, once ({size}; a minute or more):")
    if not (installed and same_python and runs(python)):
        # Nothing is known of what is there: begin again.
        with step(f"1/3 an environment of Python {VERSION}"):
            remove(root, environment)
            venv.create(environment, with_pip=True)
    stamp.unlink(missing_ok=True)
    with step("2/3 packages") as at:
        missing = pip_install(python, root, extras, at)
    # Pip compiles what it copies; the checkout stays where it is. The first start is as quick as any then.
    with step("3/3 bytecode, so that the first start is quick"):
        packages = [root / package for package in PACKAGES]
        subprocess.run([python, "-m", "compileall", "-q", *packages], stdout=subprocess.DEVNULL, check=False)
    stamp.write_text(json.dumps({"key": key, "extras": extras, "python": VERSION, "compiler": compiler}))
    say(f"groat: installed in {time.monotonic() - started:.0f} s")
    if missing:
        say(f"groat: could not install {', '.join(missing)}: what needs it is left out")
    if not is_compiled(python):
        say(
            "groat: without a C compiler and Python's headers (Debian: apt install gcc python3-dev) mining is three to "
            "twenty times slower; install them and run this again, or go on like this"
        )
    return 0


def say(line: str) -> None:
    """A line for people."""
    print(line, file=sys.stderr, flush=True)


class Progress:
    """Where a step stands: in place on a terminal; elsewhere a line now and then."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._last = time.monotonic()
        self._shown = False

    def __call__(self, doing: str) -> None:
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{f'  {self._title}: {doing}'[:width]}", end="", file=sys.stderr, flush=True)
            self._shown = True
        elif time.monotonic() - self._last >= REPEAT_S:
            say(f"  {self._title}: {doing}")
            self._last = time.monotonic()

    def end(self) -> None:
        """Clear the line."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[Progress]:
    """Say that a step begins; it may be told what it is at."""
    say(f"  {title} ...")
    progress = Progress(title)
    try:
        yield progress
    finally:
        progress.end()


def can_compile() -> bool:
    """True with a C compiler and Python's headers."""
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return headers.exists() and any(map(shutil.which, ("cc", "gcc", "clang")))


def is_compiled(python: Path) -> bool:
    """True if the extensions are there."""
    command = [python, "-c", f"import {', '.join(EXTENSIONS)}"]
    return subprocess.run(command, capture_output=True, check=False, cwd="/").returncode == 0


def remove(root: Path, environment: Path) -> None:
    """Clear a half-made or outdated environment, but no folder of somebody's."""
    if not environment.exists():
        return
    ours = environment == root / ".venv" or (environment / "pyvenv.cfg").exists()
    if not ours and any(environment.iterdir()):
        raise OSError("the folder is in use and no virtual environment")
    shutil.rmtree(environment)


def read_stamp(stamp: Path) -> dict:
    """What the last finished install left, or nothing."""
    try:
        return json.loads(stamp.read_text())
    except (OSError, ValueError):
        return {}


def runs(python: Path) -> bool:
    """False once the Python that the environment was made from is gone."""
    try:
        return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def pip_install(python: Path, root: Path, extras: list[str], progress: Progress) -> list[str]:
    """Install the project in place, with its extras. Returns the extras' packages that would not install."""
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    target = f"{root}[{','.join(extras)}]" if extras else f"{root}"
    status, output = run(pip, ["--editable", target], progress)
    if status == 0:
        return []
    if not extras:
        fail(output)
    # Something among the extras has no wheel here: the project alone, then each of them.
    status, output = run(pip, ["--editable", f"{root}"], progress)
    if status != 0:
        fail(output)
    optional = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    requirements = [requirement for extra in extras for requirement in optional[extra]]
    return [requirement for requirement in requirements if run(pip, [requirement], progress)[0] != 0]


def run(pip: list[str], arguments: list[str], progress: Progress) -> tuple[int, str]:
    """Run pip and show what it is at. Returns its exit status and all that it said."""
    said = []
    with subprocess.Popen(
        [*pip, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout
        for line in process.stdout:
            said.append(line)
            words = line.split()
            if words[:1] in (["Collecting"], ["Downloading"], ["Building"]):
                progress(" ".join(words[:2]).lower())
            elif words[:3] == ["Installing", "collected", "packages:"]:
                progress(f"unpacking {len(words) - 3} packages")
    return process.returncode, "".join(said)


def fail(output: str) -> None:
    """Show everything that pip said, and end."""
    say(f"{output}groat: pip could not install the project: its reason stands above")
    raise SystemExit(1)


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"\ngroat: cannot set up {sys.argv[2]}: {error}", file=sys.stderr)
        sys.exit(1)
