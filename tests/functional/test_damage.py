"""Damaged disks under real nodes: the reason in one line, exit status 1, and a start that repairs."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devnet.rpc import NodeRpcError, Unreachable
from node.runtime.runtime import DAMAGED
from tests.chainlab import funded
from tests.damage.logfile import HEADER_SIZE, LENGTH_HIGH, record_offsets
from tests.functional.cluster import STOP_S, Cluster
from tests.functional.conftest import StartCluster
from tests.functional.test_daemon import ADDRESS, groatd, where
from tests.functional.test_partition import feed

BLOCKS = 150
"""So many that the last one's undo lies in a table's block of its own, which no start reads."""


def only(folder: Path, pattern: str) -> Path:
    [file] = [path for path in folder.glob(pattern) if path.stat().st_size]
    return file


def blocks_of(cluster: Cluster) -> Path:
    return cluster.nodes[0].datadir / "regtest" / "blocks"


def harm_last_record(log: Path, harm: str) -> None:
    content = bytearray(log.read_bytes())
    last = list(record_offsets(content))[-1]
    if harm == "length":
        content[last + LENGTH_HIGH] ^= 0x80
    else:
        content[last : last + HEADER_SIZE] = bytes(HEADER_SIZE)
    log.write_bytes(content)


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 0x10
    file.write_bytes(content)


def exit_status(cluster: Cluster) -> int:
    """Of a node that ends by itself."""
    process = cluster.nodes[0].process
    assert process is not None
    status = process.wait(STOP_S)
    cluster.nodes[0].process = None
    return status


@pytest.mark.parametrize("harm", ["length", "header"])
def test_undo_lost_from_the_end_of_the_log_is_noticed_and_made_again(start_cluster: StartCluster, harm: str) -> None:
    cluster = start_cluster(1)
    cluster.rpc(0, "generatetoaddress", 3, ADDRESS)
    tip = cluster.rpc(0, "getbestblockhash")
    cluster.stop(0)
    whole = groatd(cluster, "verify", *where(cluster))
    assert whole.returncode == 0, whole.stderr
    harm_last_record(only(blocks_of(cluster), "*.log"), harm)
    for _ in range(2):  # to look changes nothing
        ran = groatd(cluster, "verify", *where(cluster))
        assert (ran.returncode, ran.stdout) == (1, "")
        assert f"undo below its tip is missing, the lowest is that of block {tip} at height 3" in ran.stderr
    cluster.start(0)
    cluster.rpc(0, "invalidateblock", tip)  # which needs the undo
    assert cluster.rpc(0, "getblockcount") == 2
    cluster.rpc(0, "reconsiderblock", tip)
    assert cluster.rpc(0, "getbestblockhash") == tip
    assert cluster.stop(0) == 0
    assert groatd(cluster, "verify", *where(cluster)).stdout == whole.stdout


def test_undo_that_a_reorganisation_cannot_read_ends_the_node_once(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    cluster.rpc(0, "generatetoaddress", BLOCKS, ADDRESS)
    tip = cluster.rpc(0, "getbestblockhash")
    cluster.stop(0)
    cluster.start(0)  # what the log held is in a table now
    cluster.stop(0)
    table = only(blocks_of(cluster), "*.ldb")
    flip(table, table.read_bytes().rindex(bytes.fromhex(tip)[::-1]) + 40)
    cluster.start(0)
    with pytest.raises((NodeRpcError, Unreachable)):
        cluster.rpc(0, "invalidateblock", tip)
    assert exit_status(cluster) == 1
    cluster.start(0)
    cluster.rpc(0, "invalidateblock", tip)
    assert cluster.rpc(0, "getblockcount") == BLOCKS - 1
    assert cluster.stop(0) == 0


def test_damage_found_by_a_reader_is_told_and_ends_the_node_with_status_1(start_cluster: StartCluster) -> None:
    lab = funded()
    cluster = start_cluster(1)
    feed(cluster, 0, lab)
    cluster.stop(0)
    cluster.start(0)
    cluster.stop(0)
    block = lab.blocks[60]
    table = next(path for path in blocks_of(cluster).glob("*.ldb") if block.raw in path.read_bytes())
    flip(table, table.read_bytes().index(block.raw) + 100)
    cluster.start(0)
    path = f"/block/{block.hash[::-1].hex()}/raw"
    reply = cluster.request(0, "GET", path)
    assert (reply.status, reply.text) == (500, DAMAGED)
    assert exit_status(cluster) == 1
    log = cluster.nodes[0].log.read_text()
    assert "checksum mismatch" in log
    assert log.count("CRITICAL") == 1
    assert "Traceback" not in log
    cluster.start(0)
    assert "repairing" in cluster.nodes[0].log.read_text()
    warnings = cluster.rpc(0, "getblockchaininfo")["warnings"]
    assert "were lost with damaged storage" in warnings[0]
    for again in lab.blocks[60:]:  # as peers do
        cluster.rpc(0, "submitblock", again.raw.hex())
    assert cluster.rpc(0, "getblockchaininfo")["warnings"] == []
    assert cluster.request(0, "GET", path).body == block.raw
    assert cluster.stop(0) == 0


def test_a_stop_that_was_asked_for_is_status_0(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    cluster.rpc(0, "stop")
    assert exit_status(cluster) == 0
    for number in (signal.SIGINT, signal.SIGTERM):
        cluster.start(0)
        assert cluster.nodes[0].process
        cluster.nodes[0].process.send_signal(number)
        assert exit_status(cluster) == 0


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare")
def test_verify_on_a_read_only_mount(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    cluster.rpc(0, "generatetoaddress", 5, ADDRESS)
    cluster.stop(0)
    folder = cluster.nodes[0].datadir
    whole = groatd(cluster, "verify", *where(cluster))
    command = [sys.executable, "-m", "node", *where(cluster), "verify"]
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && ! touch "$0/x" 2>/dev/null && exec "$@"'
    namespace = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*namespace, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets us make no namespaces")
    ran = subprocess.run(
        [*namespace, mount, str(folder), *command], capture_output=True, text=True, check=False, timeout=120
    )
    assert (ran.returncode, ran.stdout) == (0, whole.stdout), ran.stderr
    assert not (folder / "x").exists()
