"""Starting processes that outlive us, and never touching one that is not ours."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devnet import processes
from devnet.processes import command_line, is_running, python, send_signal, spawn, start_time, wait_end
from devnet.state import Process

PROGRAM = "import signal, sys; print('up', flush=True); signal.pause()"


def wait_for(condition: object, what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "node 1"  # with a space, as on a Mac
    folder.mkdir()
    return folder


@pytest.fixture
def ours(folder: Path) -> Iterator[Process]:
    process = spawn([sys.executable, "-c", PROGRAM, "--datadir", str(folder), "--api", "x"], folder / "log")
    wait_for((folder / "log").read_text, "the process starts")
    yield process
    if is_running(process, folder):
        os.kill(process.pid, signal.SIGKILL)
        assert wait_end(process, folder, 10)


def test_a_process_of_ours_is_known_signalled_and_missed(ours: Process, folder: Path) -> None:
    assert is_running(ours, folder)
    assert send_signal(ours, folder, signal.SIGTERM)
    assert wait_end(ours, folder, 10)
    assert not is_running(ours, folder)
    assert not send_signal(ours, folder, signal.SIGTERM)


def test_waiting_gives_up(ours: Process, folder: Path) -> None:
    assert not wait_end(ours, folder, 0.05)


def test_it_holds_nothing_of_ours(ours: Process, folder: Path) -> None:
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    child = spawn([sys.executable, "-c", PROGRAM, "--datadir", str(folder), "--api"], folder / "log2")
    os.close(write_end)
    try:
        assert os.read(read_end, 1) == b""  # end of file: nobody else has the other end
        assert os.getsid(child.pid) == child.pid != os.getsid(0)
    finally:
        os.close(read_end)
        send_signal(child, folder, signal.SIGKILL)
        assert wait_end(child, folder, 10)


def test_a_foreign_process_with_our_pid_is_left_alone(folder: Path) -> None:
    """The pid of a node that is gone now belongs to somebody else."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as foreign:
        assert foreign.stdout
        foreign.stdout.readline()
        try:
            for started in ("1", start_time(foreign.pid) or ""):
                recorded = Process(foreign.pid, started)
                assert not is_running(recorded, folder)
                assert not send_signal(recorded, folder, signal.SIGKILL)
            assert foreign.poll() is None
        finally:
            foreign.kill()


def test_another_node_of_ours_is_not_this_one(ours: Process, folder: Path) -> None:
    """DIR/node1 is the beginning of DIR/node10."""
    assert not is_running(ours, Path(str(folder)[:-1]))
    assert not is_running(Process(ours.pid, ours.started + "0"), folder)


def test_a_process_that_has_just_begun_runs(ours: Process, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its arguments are not to be read at once; `devnet up` took such a node for one that had ended."""
    monkeypatch.setattr(processes, "command_line", lambda pid: [])
    assert is_running(ours, folder)
    assert not is_running(Process(ours.pid, ours.started + "0"), folder)


def test_nobody_is_no_process(folder: Path) -> None:
    assert not is_running(None, folder)
    assert wait_end(None, folder, 0)


def test_without_proc_ps_tells_the_same(ours: Process, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PROC", folder / "no proc here")
    started = start_time(ours.pid)
    assert started
    assert is_running(Process(ours.pid, started), folder)
    assert not is_running(Process(ours.pid, "Thu Jan  1 00:00:00 1970"), folder)
    assert not is_running(Process(ours.pid, started), folder / "other")
    assert start_time(2**22 + 1) is None
    assert command_line(2**22 + 1) == []


def test_children_get_none_of_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROAT_MINE", "somebody")
    monkeypatch.setenv("KEPT", "yes")
    assert "GROAT_MINE" not in processes.environment()
    assert processes.environment()["KEPT"] == "yes"


def test_a_folder_called_node_is_not_taken_for_the_package(tmp_path: Path) -> None:
    (tmp_path / "chain").mkdir()
    (tmp_path / "chain" / "__init__.py").write_text("raise SystemExit('wrong package')")
    subprocess.run(python("devnet.solver"), cwd=tmp_path, env=processes.environment(), input=b"", check=True)
