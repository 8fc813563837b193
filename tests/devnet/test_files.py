"""`down --wipe`, and `up` after one that was cut short: what the devnet made goes, all else stays."""

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devnet import files, launch
from devnet.state import LOCK_FILE, STATE_FILE, Devnet, DevnetError, load, save
from tests.devnet.test_cli import call, no_settings

__all__ = ["no_settings"]

OURS = (
    "network.toml",
    "network.toml.new",
    "wallet.json",
    "wallet.json.lock",
    "wallet.json.new",
    "devnet.json.new",
    "node0/log",
    "node0/log.1",
    "node0/devnet/.cookie",
    "node0/devnet/.cookie.new",
    "node0/devnet/node.key",
    "node0/devnet/mempool.dat",
    "node0/devnet/peers.dat",
    "node0/devnet/pid",
    "node0/devnet/blocks.damaged",
    "node0/devnet/blocks/CURRENT",
    "node0/devnet/blocks/LOCK",
    "node0/devnet/blocks/LOG",
    "node0/devnet/blocks/LOG.old",
    "node0/devnet/blocks/MANIFEST-000004",
    "node0/devnet/blocks/000005.ldb",
    "node0/devnet/blocks/000006.log",
    "node0/devnet/blocks/lost/000003.ldb",
    "node0/devnet/ledger.discarded/000009.ldb",
    "node2/devnet/filters/000007.dbtmp",
)
FOREIGN = (
    "wallet.json.backup",
    "wallet.json.d/key",
    "wallet.json~",
    "notes.txt",
    "node0.tar",
    "node00/devnet/node.key",
    "node3/devnet/node.key",
    "node0/notes.txt",
    "node0/log.txt",
    "node0/regtest/node.key",
    "node0/devnet/notes.txt",
    "node0/devnet/node.key.backup",
    "node0/devnet/blocks/notes.txt",
    "node0/devnet/blocks/copy/000005.ldb",
    "node1/devnet/peers.dat/notes.txt",
)


def lay(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("content")


def laid(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()}


def test_wiping_takes_what_the_devnet_made_and_nothing_else(
    devnet: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(devnet)
    lay(devnet.folder, OURS)
    lay(devnet.folder, FOREIGN)
    assert call(monkeypatch, "down", "--wipe", "--dir", str(devnet.folder)) == 0
    assert laid(devnet.folder) == set(FOREIGN)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"stopped 0 nodes, wiped {devnet.folder}"
    assert said[1] == "left there, not the devnet's: node0, node0.tar, node00, node1, node3 and 4 more"


def test_wiping_takes_the_folder_if_all_in_it_was_the_devnets(
    devnet: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = devnet.folder / "net"
    folder.mkdir()
    save(replace(devnet, folder=folder))
    lay(folder, OURS)
    assert call(monkeypatch, "down", "--wipe", "--json", "--dir", str(folder)) == 0
    assert json.loads(capsys.readouterr().out) == {"stopped": [], "wiped": True, "left": []}
    assert not folder.exists()


def test_what_links_lead_to_stays(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A node moved to another disk, a database, a wallet: the links go, as `rm -r` has it."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    lay(elsewhere, ("node/log", "node/devnet/node.key", "data/node.key", "blocks/000005.ldb", "wallet.json"))
    before = laid(elsewhere)
    save(devnet)
    for index in (1, 2):
        (devnet.datadir(index) / "devnet").mkdir(parents=True)
    devnet.datadir(0).symlink_to(elsewhere / "node")
    (devnet.datadir(1) / "devnet" / "blocks").symlink_to(elsewhere / "blocks")
    (devnet.datadir(2) / "devnet").rmdir()
    (devnet.datadir(2) / "devnet").symlink_to(elsewhere / "data")
    devnet.wallet_file.symlink_to(elsewhere / "wallet.json")
    files.remove(devnet)
    assert laid(elsewhere) == before
    assert laid(devnet.folder) == set()


def test_regtest_has_no_network_file_to_delete(devnet: Devnet) -> None:
    save(replace(devnet, network="regtest"))
    lay(devnet.folder, ("network.toml",))
    files.remove(replace(devnet, network="regtest"))
    assert laid(devnet.folder) == {"network.toml"}


def test_a_lock_file_of_somebody_elses_stays_as_it_is(devnet: Devnet, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(devnet.folder, (LOCK_FILE,))
    save(devnet)
    assert call(monkeypatch, "down", "--wipe", "--dir", str(devnet.folder)) == 0
    assert (devnet.folder / LOCK_FILE).read_text() == "content"


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder of a user who is not root, as whom this process acts meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() != 0:
            yield folder
            return
        os.chown(folder, 65_534, 65_534)
        os.seteuid(65_534)
        try:
            yield folder
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("locked_folder", [".", "node1", "node0/devnet/blocks"])
def test_a_wipe_that_fails_is_understood_by_what_comes_next(
    locked_folder: str,
    devnet: Devnet,
    nobody: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A folder that is read-only: one line that names it; then no devnet to see, and another try ends it."""
    devnet = save(replace(devnet, folder=nobody))
    lay(nobody, (*OURS, "node1/log"))
    here = ("--dir", str(nobody))
    (nobody / locked_folder).chmod(0o500)
    whole = laid(nobody)
    assert call(monkeypatch, "down", "--wipe", *here) == 1
    assert "Permission denied" in (said := capsys.readouterr().err.splitlines()[-1])
    if locked_folder == ".":
        assert laid(nobody) == whole  # nothing was begun
        return
    assert f"cannot delete {nobody / locked_folder}" in said
    assert f"`devnet down --dir {nobody} --wipe`" in said
    assert (found := load(nobody))
    assert not found.ready
    assert call(monkeypatch, "status", *here) == 1
    assert "only parts of one: run `devnet up" in capsys.readouterr().err
    (nobody / locked_folder).chmod(0o700)
    assert call(monkeypatch, "down", "--wipe", *here) == 0
    assert laid(nobody) == set()


def test_up_after_one_that_was_cut_short_takes_what_is_the_devnets_and_nothing_else(
    devnet: Devnet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(replace(devnet, ready=False))
    lay(devnet.folder, OURS)
    lay(devnet.folder, FOREIGN)
    seen: list[set[str]] = []

    def make(fresh: Devnet, _: object) -> Devnet:
        seen.append(laid(fresh.folder))
        raise DevnetError("enough")

    monkeypatch.setattr(launch, "_make", make)
    assert call(monkeypatch, "up", "--dir", str(devnet.folder)) == 1
    assert seen == [{*FOREIGN, LOCK_FILE}]
    assert "removing what an earlier command has left unfinished" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["wallet.json", "network.toml", "node1/devnet/node.key", "node2/log"])
def test_up_in_a_folder_with_such_files_of_somebody_elses_touches_none(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lay(tmp_path, (name, "notes.txt"))
    assert call(monkeypatch, "up", "--dir", str(tmp_path)) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"Error: {tmp_path}/{name.removesuffix('/node.key')} is there already")
    assert said.count("\n") == 1
    assert laid(tmp_path) == {name, "notes.txt", LOCK_FILE}
    assert not (tmp_path / STATE_FILE).exists()
