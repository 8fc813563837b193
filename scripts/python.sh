# Sourced by the entry points beside it: finds a Python that can carry the project and sets
# up the checkout's virtual environment with it. Sets ROOT and VENV. Bash 3.2 (macOS) will do.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
VENV=${GROAT_VENV:-$ROOT/.venv}

# Each candidate is run: a pyenv shim may exist for a version that is not installed.
find_python() {
    local candidate fit=""
    # Beside the environment's stamp stands a Python that was good enough before.
    if [ -f "$VENV/groat-stamp.json" ] && "$VENV/bin/python" -c '' >/dev/null 2>&1; then
        PYTHON=$VENV/bin/python
        return
    fi
    for candidate in "${GROAT_PYTHON:-python3.11}" python3.12 python3 python; do
        "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' >/dev/null 2>&1 || continue
        fit=$candidate
        "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1 || continue
        PYTHON=$candidate
        return
    done
    if [ -n "$fit" ]; then
        echo "groat: $fit has no venv module: install it (Debian: apt install python3-venv) and run this again" >&2
    else
        echo "groat: needs Python 3.11 or 3.12 (plyvel has no wheel for newer ones): install one and run this again" >&2
    fi
    exit 1
}

# set_up [EXTRA]: the environment, installed or already there.
set_up() {
    find_python
    "$PYTHON" "$ROOT/scripts/install.py" "$ROOT" "$VENV" "$@" || exit 1
}
