"""The state file: round trip, damage, atomic writes; the lock; places and ports."""

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from devnet import state
from devnet.state import Devnet, DevnetError, Process, load, load_existing, locked, save, write_atomically


def test_round_trip(devnet: Devnet) -> None:
    devnet = devnet.with_process(1, Process(4711, "123456"))
    assert load(save(devnet).folder) == devnet


def test_ports_and_places(devnet: Devnet) -> None:
    assert devnet.api(2) == "127.0.0.1:18447"
    assert devnet.api_url(0) == "http://127.0.0.1:18443"
    assert devnet.p2p(2) == "127.0.0.1:18448"
    assert devnet.cookie(1) == devnet.folder / "node1" / "devnet" / ".cookie"
    assert devnet.wallet_file == devnet.folder / "wallet.json"


@pytest.mark.parametrize("index", [-1, 3])
def test_no_such_node(devnet: Devnet, index: int) -> None:
    with pytest.raises(DevnetError, match="nodes 0 to 2"):
        devnet.check_index(index)


def test_nothing_there(tmp_path: Path) -> None:
    assert load(tmp_path / "nowhere") is None
    with pytest.raises(DevnetError, match="devnet up"):
        load_existing(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_half_made_is_not_there_yet(devnet: Devnet) -> None:
    save(replace(devnet, ready=False))
    assert load(devnet.folder)
    with pytest.raises(DevnetError, match="devnet up"):
        load_existing(devnet.folder)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"version": 1}', '{"version": 1, "processes": [{"pid": 1}]}', '{"version": 2}', "\x00\xff"],
)
def test_damage_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / state.STATE_FILE).write_text(content, encoding="latin-1")
    with pytest.raises(DevnetError, match=r"damaged|another version"):
        load(tmp_path)


def test_an_extra_or_missing_field_is_damage(devnet: Devnet) -> None:
    save(devnet)
    path = devnet.folder / state.STATE_FILE
    facts = json.loads(path.read_text())
    for wrong in ({**facts, "extra": 1}, {key: facts[key] for key in facts if key != "nodes"}):
        path.write_text(json.dumps(wrong))
        with pytest.raises(DevnetError, match="damaged"):
            load(devnet.folder)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    monkeypatch.setattr(state.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"


def test_a_write_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


HOLD = "import sys; from pathlib import Path; from devnet.state import locked\n"
HOLD += "with locked(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"


def test_two_commands_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert other.stdin
        assert other.stdout.readline() == "locked\n"
        monkeypatch.setattr(state, "LOCK_WAIT_S", 0.1)
        with pytest.raises(DevnetError, match="another devnet command"), locked(tmp_path):
            pass
        monkeypatch.setattr(state, "LOCK_WAIT_S", 30.0)
        release = threading.Timer(0.2, other.stdin.close)
        release.start()
        with locked(tmp_path):
            assert other.wait(10) == 0  # the lock was ours only once the other had gone
        release.join()


def test_a_lock_that_was_wiped_meanwhile_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `down --wipe` ends between our opening its lock file and our getting the lock."""
    real, path, calls = state.fcntl.flock, tmp_path / state.LOCK_FILE, []

    def flock(lock: IO[str], operation: int) -> None:
        calls.append(operation)
        if len(calls) == 1:
            path.unlink()
        real(lock, operation)

    monkeypatch.setattr(state.fcntl, "flock", flock)
    with locked(tmp_path):
        assert len(calls) == 2
        assert path.exists()
