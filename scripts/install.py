"""Make the checkout's virtual environment and install the project into it, once.

    python install.py ROOT VENV [EXTRA]

Standard library only: this runs before anything is installed. A stamp in the environment
says what it holds; it is written last and removed first, so that an interrupted install is
done again. Two runs at once wait for each other on a lock beside the environment.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import time
import tomllib
import venv
from pathlib import Path

STAMP = "groat-stamp.json"
PACKAGES = ("chain", "node", "wallet", "devnet")
MADE_FROM = ("pyproject.toml", "chain/_sha256d.c", "node/_hashloop.c")
"""A change in these asks for another install; the rest is used where it is."""


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
    if installed.get("key") == key and installed.get("extras") == extras and python.exists():
        return 0
    started = time.monotonic()
    print(f"groat: installing into {environment} (once; a minute or so) ...", end="", file=sys.stderr, flush=True)
    if not (installed and runs(python)):
        # Nothing is known of what is there: begin again.
        remove(root, environment)
        venv.create(environment, with_pip=True)
    stamp.unlink(missing_ok=True)
    missing = pip_install(python, root, extras)
    # Pip compiles what it copies; the checkout stays where it is. The first start is as quick as any then.
    packages = [root / package for package in PACKAGES]
    subprocess.run([python, "-m", "compileall", "-q", *packages], stdout=subprocess.DEVNULL, check=False)
    stamp.write_text(json.dumps({"key": key, "extras": extras}))
    print(f" done in {time.monotonic() - started:.0f} s", file=sys.stderr)
    if missing:
        print(f"groat: could not install {', '.join(missing)}: what needs it is left out", file=sys.stderr)
    return 0


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


def pip_install(python: Path, root: Path, extras: list[str]) -> list[str]:
    """Install the project in place, with its extras. Returns the extras' packages that would not install."""
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    target = f"{root}[{','.join(extras)}]" if extras else f"{root}"
    outcome = subprocess.run([*pip, "--editable", target], capture_output=True, text=True, check=False)
    if outcome.returncode == 0:
        return []
    if not extras:
        fail(outcome)
    # Something among the extras has no wheel here: the project alone, then each of them.
    plain = subprocess.run([*pip, "--editable", root], capture_output=True, text=True, check=False)
    if plain.returncode != 0:
        fail(plain)
    optional = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return [
        requirement
        for extra in extras
        for requirement in optional[extra]
        if subprocess.run([*pip, requirement], capture_output=True, check=False).returncode != 0
    ]


def fail(outcome: subprocess.CompletedProcess) -> None:
    """Show everything that pip said, and end."""
    print(f" failed\n{outcome.stdout}{outcome.stderr}groat: pip could not install the project", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"\ngroat: cannot set up {sys.argv[2]}: {error}", file=sys.stderr)
        sys.exit(1)
