# Sourced by the entry points beside it: finds a Python that can carry the project and sets
# up the checkout's virtual environment with it. Sets ROOT and VENV. Bash 3.2 (macOS) will do.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
VENV=${GROAT_VENV:-$ROOT/.venv}
VERSIONS="Python 3.11, 3.12, 3.13 or 3.14"

# A Python's version, as in 3.11; nothing for one that cannot be run.
version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

# What is wrong with a Python, in a few words; nothing for one that will do. It is run to find
# out: a pyenv shim may exist for a version that is not installed.
trouble_with() {
    local version
    version=$(version_of "$1") || version=""
    case $version in
    "") echo "cannot be run" ;;
    3.11 | 3.12 | 3.13 | 3.14)
        "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
            echo "has no venv module: install it (Debian: apt install python$version-venv)"
        ;;
    *) echo "is Python $version, and $VERSIONS is needed" ;;
    esac
}

find_python() {
    local candidate trouble without_venv=""
    # One that is named is used or refused, never passed over.
    if [ -n "${GROAT_PYTHON:-}" ]; then
        trouble=$(trouble_with "$GROAT_PYTHON")
        if [ -n "$trouble" ]; then
            echo "groat: GROAT_PYTHON: $GROAT_PYTHON $trouble" >&2
            exit 1
        fi
        PYTHON=$GROAT_PYTHON
        return
    fi
    # Beside the environment's stamp stands a Python that was good enough before.
    if [ -f "$VENV/groat-stamp.json" ] && "$VENV/bin/python" -c '' >/dev/null 2>&1; then
        PYTHON=$VENV/bin/python
        return
    fi
    for candidate in python3.11 python3.12 python3.13 python3.14 python3 python; do
        trouble=$(trouble_with "$candidate")
        if [ -z "$trouble" ]; then
            PYTHON=$candidate
            return
        fi
        case $trouble in has*) without_venv=${without_venv:-$candidate $trouble} ;; esac
    done
    if [ -n "$without_venv" ]; then
        echo "groat: $without_venv, and run this again" >&2
    else
        echo "groat: needs $VERSIONS, and found none: install one, or name it with GROAT_PYTHON, and run this again" >&2
    fi
    exit 1
}

# set_up [EXTRA]: the environment, installed or already there.
set_up() {
    find_python
    "$PYTHON" "$ROOT/scripts/install.py" "$ROOT" "$VENV" "$@" || exit 1
}
