"""Install what the tests bring from npm into tests/js/node_modules, once.

    python install_npm.py ROOT

Standard library only. The tests of outside clients need it and are skipped without it, so
nothing here fails: one line says what is left out. A stamp in the folder names the lock that
it was installed from; `npm ci` clears the folder first, so an interrupted install is done again.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

STAMP = ".groat-stamp"
LEFT_OUT = "the tests of npm's clients and of accessibility are left out"
TIMEOUT_S = 300.0
"""Of the whole install; it takes half a minute. Past it npm is ended, and its packages are left out."""
# A machine without network hears so at once, and one that has the packages needs no network.
COMMAND = ("ci", "--prefer-offline", "--fetch-retries=1", "--loglevel=error")


def main(root: Path) -> int:
    """Bring the folder up to date, or say what is left out; 0 either way."""
    folder = root / "tests" / "js"
    with (folder / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        key = hashlib.sha256(lock.read() + (folder / "package.json").read_bytes()).hexdigest()
        stamp = folder / "node_modules" / STAMP
        if stamp.exists() and stamp.read_text() == key:
            return 0
        if problem := install(folder):
            print(f"groat: {problem}: {LEFT_OUT}", file=sys.stderr)
            return 0
        stamp.write_text(key)
    return 0


def install(folder: Path) -> str:
    """Run npm. Returns what went wrong in a few words, or nothing."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "no npm here"
    started = time.monotonic()
    print(f"groat: installing into {folder}/node_modules (once; half a minute or so) ...", end="", file=sys.stderr)
    sys.stderr.flush()
    try:
        # Its words go to a pipe: where standard error is closed, npm would fail on its own warnings.
        outcome = subprocess.run([npm, *COMMAND], cwd=folder, capture_output=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        print(" failed", file=sys.stderr)
        return f"npm ci has not ended in {TIMEOUT_S:.0f} s"
    if outcome.returncode != 0:
        print(" failed", file=sys.stderr)
        words = outcome.stderr.decode(errors="replace").split("\n", 1)[0].strip()
        return f"npm ci failed ({words or f'status {outcome.returncode}'})"
    print(f" done in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return ""


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        print(f"groat: cannot install npm's packages: {error}: {LEFT_OUT}", file=sys.stderr)
