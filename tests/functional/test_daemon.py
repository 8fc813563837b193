"""groatd as a process: how it starts, what it leaves lying about, how it ends."""

import base64
import gc
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chain.hashes import to_hex
from chain.params import REGTEST, devnet_params
from devnet.processes import environment
from node import daemon
from node.config import Config
from node.interface.endpoint import Endpoint
from node.interface.storage import StoreError
from node.storage.recovery import open_store
from tests.chainlab import funded, made_by, pay
from tests.functional.cluster import Cluster, RealNode
from tests.functional.conftest import StartCluster
from tests.functional.test_partition import feed
from tests.node.processes import eventually, is_alive

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
IDLE_THREADS_MAX = 20
"""Of a node that has nothing to do, with two peers; there is room for one a peer that is just being asked something."""
STOP_S = 5.0


def pid_of(node: RealNode) -> int:
    assert node.process
    return node.process.pid


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if int(line.split()[1]) == pid]


def groatd(cluster: Cluster, *arguments: str, index: int = 0, **variables: str) -> "subprocess.CompletedProcess[str]":
    """groatd on a node's folder, with other arguments, until it ends."""
    command = cluster.command(index)
    start = command[: command.index("--network")]
    return subprocess.run(
        [*start, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment() | variables,
        cwd="/",
    )


def where(cluster: Cluster, index: int = 0) -> list[str]:
    return ["--network", cluster.network, "--datadir", str(cluster.nodes[index].datadir)]


def test_a_node_with_nothing_to_do_has_few_threads(start_cluster: StartCluster) -> None:
    """Three that are linked: they come with requests, and go."""
    cluster = start_cluster(3)
    cluster.rpc(0, "generatetoaddress", 3, ADDRESS)
    cluster.wait_for_agreement(3)

    def threads(node: RealNode) -> int:
        return len(list(Path(f"/proc/{pid_of(node)}/task").iterdir()))

    most = max(map(threads, cluster.nodes))
    cluster.wait_for(lambda: all(threads(node) <= IDLE_THREADS_MAX for node in cluster.nodes), "threads to end")
    print(f"{most} threads, then {[threads(node) for node in cluster.nodes]}")


def test_mining_is_paused_and_goes_on(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2, links=(), options=[["--mine", ADDRESS, "--mine-interval", "0.05"], []])
    cluster.wait_for(lambda: cluster.rpc(0, "getblockcount") > 1, "mined blocks")
    assert cluster.rpc(0, "getgenerate") is True
    assert cluster.rpc(0, "setgenerate", False) is None
    assert cluster.rpc(0, "getgenerate") is False
    heights: list[int] = []

    def rests() -> bool:
        heights.append(cluster.rpc(0, "getblockcount"))
        return len(heights) > 20 and len(set(heights[-20:])) == 1

    cluster.wait_for(rests, "it to rest")
    assert len(cluster.rpc(0, "generatetoaddress", 1, ADDRESS)) == 1, "blocks can be made all the same"
    assert cluster.rpc(0, "setgenerate", True) is None
    cluster.wait_for(lambda: cluster.rpc(0, "getblockcount") > heights[-1] + 2, "it to go on")
    assert cluster.rpc(1, "getgenerate") is False


# starting and stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_clean_stop_leaves_no_cookie_and_no_process(start_cluster: StartCluster, number: signal.Signals) -> None:
    cluster = start_cluster(1, options=[["--mine", ADDRESS, "--mine-interval", "0.1", "--mine-threads", "2"]])
    node = cluster.nodes[0]
    folder = node.datadir / "regtest"
    cluster.wait_for(lambda: cluster.rpc(0, "getblockcount") > 1, "mined blocks")
    children = children_of(pid_of(node))
    assert len(children) == 2
    assert stat.S_IMODE((folder / ".cookie").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "node.key").stat().st_mode) == 0o600
    key = (folder / "node.key").read_text()
    process, start = node.process, time.monotonic()
    assert process
    process.send_signal(number)
    assert process.wait(20) == 0
    assert time.monotonic() - start < STOP_S
    node.process = None
    assert not (folder / ".cookie").exists()
    assert not any(map(is_alive, children))
    assert "Traceback" not in node.log.read_text()
    cluster.start(0)
    assert (folder / "node.key").read_text() == key


def test_stop_by_json_rpc(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    process = cluster.nodes[0].process
    assert process
    cluster.rpc(0, "stop")
    assert process.wait(20) == 0
    cluster.nodes[0].process = None


def test_a_stop_does_not_wait_for_a_client_that_holds_its_connection(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2)
    cluster.wait_for(lambda: cluster.rpc(0, "getpeerinfo"), "a peer")
    start = time.monotonic()
    assert cluster.stop(0) == 0
    assert time.monotonic() - start < STOP_S


def test_kill_9_leaves_no_child(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, options=[["--mine", ADDRESS, "--mine-interval", "0.1", "--mine-threads", "2"]])
    cluster.wait_for(lambda: cluster.rpc(0, "getblockcount") > 1, "mined blocks")
    children = children_of(pid_of(cluster.nodes[0]))
    assert len(children) == 2
    cluster.kill(0)
    eventually(lambda: not any(map(is_alive, children)), "the miners end")
    cluster.start(0)


def test_a_miner_that_is_killed_is_replaced(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, options=[["--mine", ADDRESS, "--mine-interval", "0.1"]])
    cluster.wait_for(lambda: cluster.rpc(0, "getblockcount") > 1, "mined blocks")
    [child] = children_of(pid_of(cluster.nodes[0]))
    os.kill(child, signal.SIGKILL)
    height = cluster.rpc(0, "getblockcount")
    cluster.wait_for(lambda: cluster.rpc(0, "getblockcount") > height + 3, "more blocks")
    assert "miner process lost" in cluster.nodes[0].log.read_text()


def test_real_work_on_demand_where_blocks_have_difficulty(start_cluster: StartCluster, tmp_path: Path) -> None:
    network = tmp_path / "network.toml"
    network.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in devnet_params().to_mapping().items()))
    assert tomllib.loads(network.read_text()) == devnet_params().to_mapping()
    cluster = start_cluster(1, network=str(network))
    hashes = cluster.rpc(0, "generatetoaddress", 3, ADDRESS)
    assert len(hashes) == 3
    assert all(int(block_hash, 16) >> (256 - 14) == 0 for block_hash in hashes)
    assert cluster.rpc(0, "getbestblockhash") == hashes[-1]
    assert children_of(pid_of(cluster.nodes[0]))


# what cannot be


def test_a_folder_in_use_names_its_owner_and_keeps_its_cookie(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    cookie = cluster.nodes[0].datadir / "regtest" / ".cookie"
    before = cookie.read_text()
    for command in ([], ["verify"], ["reindex"]):
        ran = groatd(cluster, *where(cluster), "--api", "127.0.0.1:0", "--p2p", "127.0.0.1:0", *command)
        assert ran.returncode == 1
        assert f"is in use by process {pid_of(cluster.nodes[0])}: stop that first" in ran.stderr
        assert ran.stderr.count("\n") == 1
    assert cookie.read_text() == before
    assert cluster.rpc(0, "getblockcount") == 0


@pytest.mark.parametrize("option", ["--api", "--p2p"])
def test_a_port_in_use_is_one_line(start_cluster: StartCluster, tmp_path: Path, option: str) -> None:
    cluster = start_cluster(1)
    taken = cluster.nodes[0].api
    other = "--p2p" if option == "--api" else "--api"
    ran = groatd(cluster, "--datadir", str(tmp_path / "other"), option, taken, other, "127.0.0.1:0")
    assert ran.returncode == 1
    hint = f"(perhaps by another node); {option} HOST:PORT chooses another port"
    assert ran.stderr == f"groatd: {option}: cannot listen on {taken}: Address already in use {hint}\n"
    assert not (tmp_path / "other" / "regtest" / ".cookie").exists()


def test_another_networks_folder_is_refused(start_cluster: StartCluster, tmp_path: Path) -> None:
    cluster = start_cluster(1, launch=False)
    for first_bits in ("1f03ffff", "1e03ffff"):
        mapping = devnet_params().to_mapping() | {"first_bits": first_bits}
        (tmp_path / first_bits).write_text("".join(f"{key} = {json.dumps(part)}\n" for key, part in mapping.items()))
    cluster.network = str(tmp_path / "1f03ffff")
    cluster.network_name = "devnet"
    cluster.start(0)
    cluster.stop(0)
    anywhere = ("--api", "127.0.0.1:0", "--p2p", "127.0.0.1:0")
    ran = groatd(cluster, "--network", str(tmp_path / "1e03ffff"), *where(cluster)[2:], *anywhere)
    assert ran.returncode == 1
    assert re.search(r"groatd: .*belongs to network .* and this is ", ran.stderr)


# what is kept


def test_the_mempool_survives_a_clean_stop(start_cluster: StartCluster) -> None:
    lab = funded()
    cluster = start_cluster(1)
    feed(cluster, 0, lab)
    parent = pay([lab.take()[0]], fee=1000)
    other = pay([lab.take()[0]], fee=2000)
    for tx in (parent, other):
        cluster.rpc(0, "sendrawtransaction", tx.raw.hex())
    before = cluster.rpc(0, "getrawmempool", True)
    assert len(before) == 2
    cluster.stop(0)
    assert stat.S_IMODE((cluster.nodes[0].datadir / "regtest" / "mempool.dat").stat().st_mode) == 0o600
    cluster.start(0)
    cluster.wait_for(lambda: len(cluster.rpc(0, "getrawmempool")) == 2, "the mempool")
    after = cluster.rpc(0, "getrawmempool", True)
    assert {txid: entry["time"] for txid, entry in after.items()} == {txid: e["time"] for txid, e in before.items()}


def test_a_parent_whose_child_pays_for_it_survives_a_clean_stop(start_cluster: StartCluster) -> None:
    lab = funded()
    cluster = start_cluster(1)
    feed(cluster, 0, lab)
    parent = pay([lab.take()[0]], fee=0)
    child = pay([made_by(parent)], fee=3_000)
    answer = cluster.rpc(0, "submitpackage", [parent.raw.hex(), child.raw.hex()])
    assert answer["package_msg"] == "success"
    cluster.stop(0)
    cluster.start(0)
    names = {to_hex(parent.txid), to_hex(child.txid)}
    cluster.wait_for(lambda: set(cluster.rpc(0, "getrawmempool")) == names, "both of them")


def test_a_damaged_mempool_file_is_not_used(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, launch=False)
    folder = cluster.nodes[0].datadir / "regtest"
    folder.mkdir()
    (folder / "mempool.dat").write_bytes(b"\x01\xff\xff\xff\xff")
    cluster.start(0)
    cluster.wait_for(lambda: "mempool.dat is not used" in cluster.nodes[0].log.read_text(), "a word about it")
    assert cluster.stop(0) == 0


def test_verify_and_reindex_print_the_same_facts(start_cluster: StartCluster) -> None:
    lab = funded()
    cluster = start_cluster(1)
    feed(cluster, 0, lab)
    tip = cluster.rpc(0, "getbestblockhash")
    cluster.stop(0)
    printed = []
    options = where(cluster)
    for arguments in (
        [*options, "verify"],
        ["verify", "--deep", *options],
        ["reindex", *options],
        ["verify", *options],
    ):
        ran = groatd(cluster, *arguments)
        assert ran.returncode == 0, ran.stderr
        printed.append(ran.stdout)
    assert len(set(printed)) == 1
    found = re.fullmatch(rf"height {lab.height}\ntip {tip}\ndigest ([0-9a-f]{{128}})\n", printed[0])
    assert found
    for arguments in (["verify", *options, "--json"], ["--json", "reindex", *options]):
        facts = json.loads(groatd(cluster, *arguments).stdout)
        assert facts == {"height": lab.height, "tip": tip, "digest": found[1]}
    shutil.rmtree(cluster.nodes[0].datadir / "regtest" / "ledger")
    cluster.start(0)
    assert cluster.rpc(0, "getbestblockhash") == tip
    assert "from the stored blocks: it is empty" in cluster.nodes[0].log.read_text()


def test_verify_finds_what_is_wrong_and_changes_nothing(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    cluster.rpc(0, "generatetoaddress", 5, ADDRESS)
    cluster.stop(0)
    tables = [path for path in (cluster.nodes[0].datadir / "regtest" / "ledger").iterdir() if path.suffix == ".log"]
    [log] = tables
    raw = bytearray(log.read_bytes())
    raw[len(raw) // 2] ^= 1
    log.write_bytes(raw)
    for arguments in (["verify"], ["verify", "--deep"]):
        ran = groatd(cluster, *arguments, *where(cluster))
        assert ran.returncode == 1
        assert "is damaged" in ran.stderr
        assert ran.stderr.count("\n") == 1
    cluster.start(0)
    assert cluster.rpc(0, "getblockcount") == 5, "the start builds it again from the blocks"


def test_settings_from_the_environment_and_a_file(start_cluster: StartCluster, tmp_path: Path) -> None:
    cluster = start_cluster(1)
    cluster.rpc(0, "generatetoaddress", 1, ADDRESS)
    cluster.stop(0)
    datadir = str(cluster.nodes[0].datadir)
    assert "height 1\n" in groatd(cluster, "verify", GROAT_DATADIR=datadir).stdout
    file = tmp_path / "groat.toml"
    file.write_text(f'datadir = "{datadir}"\n')
    assert "height 1\n" in groatd(cluster, "--config", str(file), "verify").stdout
    assert "height 1\n" in groatd(cluster, "verify", GROAT_CONFIG=str(file)).stdout
    ran = groatd(cluster, "verify", "--datadir", str(tmp_path / "none"), GROAT_DATADIR=datadir)
    assert ran.returncode == 1
    assert not (tmp_path / "none").exists()


def test_json_log_lines(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, options=[["--log-format", "json"]])
    cluster.stop(0)
    lines = [json.loads(line) for line in cluster.nodes[0].log.read_text().splitlines()]
    assert [line["message"].split(" ")[0] for line in lines] == ["regtest:", "ready", "stopped"]


def test_the_portable_engine_is_loudly_slow(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, options=[["--engine", "python"]])
    assert "WARNING verify: SLOW: " in cluster.nodes[0].log.read_text()


def test_a_fixed_login_beside_the_cookie(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, options=[["--rpc-user", "alice", "--rpc-password", "secret"]])
    login = base64.b64encode(b"alice:secret").decode()
    body = json.dumps({"method": "getblockcount"})
    reply = cluster.request(0, "POST", "/", body, authorization=f"Basic {login}")
    assert reply.json()["result"] == 0


# before it is ready


def test_until_recovery_is_done_everybody_is_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, so that recovery can be held up."""
    config = Config(devnet_params(), tmp_path, (Endpoint("127.0.0.1", 0),), Endpoint("127.0.0.1", 0))
    opened: list[str] = []
    plain_open: Callable[..., object] = daemon.open_store

    def look_and_open(*arguments: object, **options: object) -> object:
        client = Cluster(tmp_path)
        api, p2p = (listener.endpoints[0].port for listener in node.listeners)
        client.nodes.append(RealNode(0, api, p2p, tmp_path, []))
        login = base64.b64encode(config.cookie.read_bytes()).decode()
        for path in ("/blocks/tip/height", "/api/mempool"):
            reply = client.request(0, "GET", path)
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        rpc = client.request(0, "POST", "/", '{"method":"getblockcount"}', authorization=f"Basic {login}")
        assert (rpc.status, rpc.json()["error"]["code"]) == (500, -28)
        client.nodes[0].api_port = p2p
        assert client.request(0, "POST", "/p2p/addresses", b"\x01\x10").status == 503
        opened.append("looked")
        return plain_open(*arguments, **options)

    monkeypatch.setattr(daemon, "open_store", look_and_open)
    with ExitStack() as stack:
        stack.callback(daemon.prepare_folder(config).remove)
        node = daemon.Running(config, stack)
        try:
            node.start()
            assert opened == ["looked"]
        finally:
            node.stop()


@pytest.fixture
def own_signals() -> Iterator[None]:
    """A node in this process takes its signals over."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
def test_a_fault_while_recovering_is_the_start_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    config = Config(devnet_params(), tmp_path, (Endpoint("127.0.0.1", 0),), Endpoint("127.0.0.1", 0))
    monkeypatch.setattr(daemon, "open_store", refuse)
    with pytest.raises(StoreError, match="the disk is full"):
        daemon.run(config)
    assert not config.cookie.exists()


class _FullDisk:
    """A store whose first commit finds the disk full."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, *_: object) -> None:
        raise StoreError("the disk is full")


@pytest.mark.usefixtures("own_signals")
def test_both_ports_in_use_are_named_at_once(start_cluster: StartCluster, tmp_path: Path) -> None:
    cluster = start_cluster(1)
    api, p2p = cluster.nodes[0].api, cluster.nodes[0].p2p
    more = ("--api", "127.0.0.1:0", "--api", api, "--p2p", p2p)
    ran = groatd(cluster, "--datadir", str(tmp_path / "other"), *more)
    assert ran.returncode == 1
    assert ran.stderr == (
        f"groatd: --api: cannot listen on {api}: Address already in use; --p2p: cannot listen on {p2p}: Address "
        "already in use (perhaps by another node); --api HOST:PORT and --p2p HOST:PORT choose other ports\n"
    )


def test_an_address_that_is_none_of_ours_is_named(start_cluster: StartCluster, tmp_path: Path) -> None:
    cluster = start_cluster(1)
    ran = groatd(cluster, "--datadir", str(tmp_path / "other"), "--api", "192.0.2.1:18443", "--p2p", "127.0.0.1:0")
    assert ran.returncode == 1
    assert ran.stderr == "groatd: --api: cannot listen on 192.0.2.1:18443: Cannot assign requested address\n"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:5"),
        ("127.0.0.2", "http://127.0.0.2:5"),
        ("::1", "http://[::1]:5"),
        ("0.0.0.0", "http://127.0.0.1:5"),
        ("::", "http://[::1]:5"),
        ("192.0.2.1", "http://192.0.2.1:5"),
    ],
)
def test_an_api_open_to_others_is_warned_of(caplog: pytest.LogCaptureFixture, host: str, url: str) -> None:
    """What is printed leads somewhere, on all addresses there are too."""
    endpoint = Endpoint(host, 5)
    daemon.warn_if_open([endpoint])
    assert len(caplog.records) == (0 if host in ("127.0.0.1", "127.0.0.2", "::1") else 1)
    assert all(record.getMessage().startswith(f"--api {endpoint}: not only this machine") for record in caplog.records)
    assert daemon.local_url(endpoint) == url


class _Dying:
    """Python ignores what is raised when an object goes."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.usefixtures("own_signals")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_comes_while_garbage_is_collected_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(REGTEST, tmp_path, (Endpoint("127.0.0.1", 0),), Endpoint("127.0.0.1", 0))
    collector = SimpleNamespace(set_threshold=gc.set_threshold, collect=lambda: bool(_Dying()), freeze=lambda: None)
    monkeypatch.setattr(daemon, "gc", collector)
    assert daemon.run(config) is None


@pytest.mark.usefixtures("own_signals")
def test_a_fault_while_stored_blocks_are_connected_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(REGTEST, tmp_path, (Endpoint("127.0.0.1", 0),), Endpoint("127.0.0.1", 0))
    lab = funded()
    store = open_store(config.folder, REGTEST.network_id)
    for height, block in enumerate(lab.blocks, 1):
        store.put_block(height, block.hash, block.raw, sync=False)
    store.close()
    monkeypatch.setattr(daemon, "open_store", lambda *args, **options: _FullDisk(open_store(*args, **options)))
    assert daemon.run(config) == "the disk is full"
    assert caplog.text.count("the disk is full") == 1
