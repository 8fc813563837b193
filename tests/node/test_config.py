"""What the operator may say, three ways, and what is said back when it cannot be used."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from chain.address import decode_address
from chain.params import REGTEST, devnet_params
from node import cli, daemon
from node.config import Config, make_folder, read_endpoint, read_network, read_rpc_login
from node.interface.endpoint import Endpoint
from node.interface.settings import BULK_KB, ENGINES, ROLES, ConfigError
from node.interface.storage import StoreError
from node.mining.settings import Mine
from node.p2p.discovery.config import DiscoveryConfig, DiscoveryMethod
from node.p2p.scoring.choking import BULK_BYTES_S
from node.p2p.scoring.service_flags import Role
from node.secret_files import Cookie, read_node_key, write_private
from node.workers.child_process import ROOT
from node.workers.verifier_pool import choose_engine

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
NETWORK = """
name = "devnet"
spacing_s = 10
half_life_s = 150
anchor_height = 102
pow_limit_bits = "1f03ffff"
first_bits = "1f03ffff"
gap_cap_s = 150
future_limit_s = 60
halving_interval = 210000
allow_local = true
"""

Started = Callable[..., Config]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Started:
    """Runs groatd up to the point where the node would start; the Config it would have."""
    for name in [name for name in os.environ if name.startswith("GROAT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    seen: list[Config] = []
    monkeypatch.setattr(daemon, "run", seen.append)

    def start(*arguments: str) -> Config:
        assert cli.groatd.main(list(arguments), standalone_mode=False) is None
        return seen.pop()

    return start


def test_everything_has_a_default(started: Started, tmp_path: Path) -> None:
    config = started()
    assert config.params is REGTEST
    assert config.datadir.is_relative_to(tmp_path)
    assert config.datadir.name == "groat"
    assert config.api == (Endpoint("127.0.0.1", 18443),)
    assert config.p2p == Endpoint("127.0.0.1", 18444)
    assert (config.peers, config.mine, config.index) == ((), None, True)
    assert (config.rpc_user, config.rpc_password, config.allow_hosts, config.cors_origins) == (None, None, (), ())
    assert (config.log_format, config.log_file, config.engine) == ("text", None, "auto")
    assert (config.role, config.bulk_bytes_s) == (Role.FULL, 4_000_000)


def test_the_layout_of_the_folder(started: Started, tmp_path: Path) -> None:
    config = started("--datadir", str(tmp_path / "data"))
    assert config.folder == tmp_path / "data" / "regtest"
    assert config.cookie == config.folder / ".cookie"
    assert config.node_key == config.folder / "node.key"
    assert not (tmp_path / "data").exists()


EVERY_OPTION: dict[str, tuple[list[str], str, Any]] = {
    "datadir": (["/data"], "datadir", Path("/data")),
    "api": (["127.0.0.1:1", "[::1]:2"], "api", (Endpoint("127.0.0.1", 1), Endpoint("::1", 2))),
    "p2p": (["0.0.0.0:0"], "p2p", Endpoint("0.0.0.0", 0)),
    "peer": (["10.0.0.1:1", "node-2.example:2"], "peers", (Endpoint("10.0.0.1", 1), Endpoint("node-2.example", 2))),
    "bootstrap": (
        ["10.0.0.1:1", "seed.example:2"],
        "finding",
        DiscoveryConfig(bootstrap=(Endpoint("10.0.0.1", 1), Endpoint("seed.example", 2))),
    ),
    "discovery": (["kademlia"], "finding", DiscoveryConfig(frozenset({DiscoveryMethod.KADEMLIA}))),
    "name": (["node 1"], "name", "node 1"),
    "mine": ([ADDRESS], "mine", Mine(decode_address(ADDRESS), 1, 100, 10.0)),
    "unlisted": ([], "unlisted", True),
    "no-index": ([], "index", False),
    "allow-host": (["a.example", "b.example"], "allow_hosts", ("a.example", "b.example")),
    "cors-origin": (["https://a.example"], "cors_origins", ("https://a.example",)),
    "zmq": (["tcp://127.0.0.1:28332", "ipc:///tmp/x"], "zmq", ("tcp://127.0.0.1:28332", "ipc:///tmp/x")),
    "log-format": (["json"], "log_format", "json"),
    "engine": (["python"], "engine", "python"),
    "role": (["pruned"], "role", Role.PRUNED),
}


@pytest.mark.parametrize("option", EVERY_OPTION)
def test_options_on_the_command_line(started: Started, option: str) -> None:
    given, field, expected = EVERY_OPTION[option]
    arguments = [part for text in given for part in (f"--{option}", text)] or [f"--{option}"]
    assert getattr(started(*arguments), field) == expected


@pytest.mark.parametrize("option", EVERY_OPTION)
def test_options_in_the_environment(started: Started, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given, field, expected = EVERY_OPTION[option]
    monkeypatch.setenv(f"GROAT_{option.upper().replace('-', '_')}", " ".join(given) or "1")
    assert getattr(started(), field) == expected


@pytest.mark.parametrize("option", EVERY_OPTION)
@pytest.mark.parametrize("separator", ["-", "_"])
def test_options_in_a_file(started: Started, option: str, separator: str, tmp_path: Path) -> None:
    given, field, expected = EVERY_OPTION[option]
    value = "true" if not given else repr(given) if len(given) > 1 else repr(given[0])
    file = tmp_path / "groat.toml"
    file.write_text(f"{option.replace('-', separator)} = {value}\n")
    assert getattr(started("--config", str(file)), field) == expected


def test_a_file_cannot_ask_for_what_only_the_command_line_can(tmp_path: Path) -> None:
    file = tmp_path / "groat.toml"
    file.write_text("version = true\n")
    with pytest.raises(ConfigError, match="unknown key 'version'"):
        cli.groatd.main(["--config", str(file)], standalone_mode=False)


def test_every_option_is_tested() -> None:
    options = {option.name for option in cli.groatd.params if isinstance(option, click.Option)}
    elsewhere = {
        "network", "config", "log_file", "rpc_user", "rpc_password", "mine_threads", "mine_duty", "mine_interval",
        "json", "check", "bulk_budget", "minimum_work", "version"
    }  # fmt: skip
    assert options == {name.replace("-", "_") for name in EVERY_OPTION} | elsewhere


def test_how_to_mine(started: Started, tmp_path: Path) -> None:
    file = tmp_path / "groat.toml"
    file.write_text(f'mine = "{ADDRESS}"\nmine-threads = 3\nmine-duty = 25\nmine-interval = 0.5\n')
    assert started("--config", str(file)).mine == Mine(decode_address(ADDRESS), 3, 25, 0.5)
    assert started("--config", str(file), "--mine-threads", "2").mine == Mine(decode_address(ADDRESS), 2, 25, 0.5)


def test_a_network_with_difficulty_needs_no_interval(started: Started, tmp_path: Path) -> None:
    file = tmp_path / "network.toml"
    file.write_text(NETWORK)
    config = started("--network", str(file), "--mine", ADDRESS, "--mine-interval", "3", "--datadir", str(tmp_path))
    assert config.params == devnet_params()
    assert config.mine == Mine(decode_address(ADDRESS), 1, 100, None)
    assert config.folder == tmp_path / "devnet"


def test_the_command_line_overrules_the_environment_and_that_the_file(
    started: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "groat.toml"
    file.write_text('p2p = "127.0.0.1:1"\npeer = ["127.0.0.1:9"]\n')
    arguments = ["--config", str(file)]
    assert started(*arguments).p2p.port == 1
    monkeypatch.setenv("GROAT_P2P", "127.0.0.1:2")
    assert started(*arguments).p2p.port == 2
    assert started(*arguments, "--p2p", "127.0.0.1:3").p2p.port == 3
    monkeypatch.setenv("GROAT_CONFIG", str(file))
    assert started().peers == (Endpoint("127.0.0.1", 9),)


def test_a_login_beside_the_cookie(started: Started) -> None:
    config = started("--rpc-user", "alice", "--rpc-password", "pass:word")
    assert (config.rpc_user, config.rpc_password) == ("alice", "pass:word")
    assert read_rpc_login(None, None) == (None, None)


def test_the_work_that_there_is_at_least(started: Started) -> None:
    assert started().minimum_work == 0
    assert started("--minimum-work", "00ff").minimum_work == 255


def test_options_can_be_checked_without_running(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "groat.toml").write_text("mine-threads = 2\n")
    options = ["--config", str(tmp_path / "groat.toml"), "--datadir", str(tmp_path / "data"), "--check"]
    assert cli.groatd.main(options, standalone_mode=False) is None
    assert capsys.readouterr() == ("", "")
    assert not (tmp_path / "data").exists()
    assert "is not HOST:PORT" in fails("--check", "--api", "x", exit_code=2)


def test_the_budget_of_bulk_service(started: Started, tmp_path: Path) -> None:
    assert started("--bulk-budget", "50").bulk_bytes_s == 50_000
    (tmp_path / "groat.toml").write_text("bulk-budget = 7\n")
    assert started("--config", str(tmp_path / "groat.toml")).bulk_bytes_s == 7_000


def test_the_log_goes_to_its_file(started: Started, tmp_path: Path) -> None:
    assert started("--log-file", str(tmp_path / "log")).log_file == tmp_path / "log"
    assert (tmp_path / "log").exists()


def test_what_the_command_line_offers_is_what_there_is() -> None:
    """It knows it by heart, so that --help need not import the node."""
    assert [role.value for role in Role] == list(ROLES)
    assert BULK_KB * 1_000 == BULK_BYTES_S
    for engine in ENGINES:
        assert choose_engine(engine)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_does_not_run_the_node_does_not_import_it(option: str) -> None:
    script = "import sys; from node.cli import groatd; groatd.main(sys.argv[1:], standalone_mode=False);"
    heavy = ("chain", "requests", "httptools", "asyncio")
    script += f"print([name for name in sys.modules if name.split('.')[0] in {heavy}])"
    ran = subprocess.run([sys.executable, "-c", script, option], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.endswith("\n[]\n")


# what cannot be used


def fails(*arguments: str, exit_code: int = 1) -> str:
    """Standard error of a groatd that ends with this code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["groatd", *arguments])

        @click.command()
        def script() -> None:
            cli.main()

        ran = CliRunner().invoke(script, [], standalone_mode=True)
    assert (ran.exit_code, ran.stdout) == (exit_code, "")
    return ran.stderr


BAD_VALUES = [
    (["--api", "localhost"], "--api: 'localhost' is not HOST:PORT (an IPv6 address goes in brackets)"),
    (["--api", "127.0.0.1:65536"], "--api: '127.0.0.1:65536' has no valid port"),
    (["--api", "127.0.0.1:-1"], "--api: '127.0.0.1:-1' has no valid port"),
    (["--api", "127.0.0.1:\u0661"], "has no valid port"),
    (["--p2p", "::1:5"], "is not HOST:PORT"),
    (["--p2p", "[x]:5"], "has no IPv6 address in its brackets"),
    (["--p2p", ":5"], "is not HOST:PORT"),
    (["--peer", "127.0.0.1:0"], "--peer: '127.0.0.1:0' has no valid port"),
    (["--peer", "http://a:1"], "is not HOST:PORT"),
    (["--bootstrap", "a"], "--bootstrap: 'a' is not HOST:PORT"),
    (["--discovery", "gossip,rumour"], "--discovery: 'rumour' is not one of gossip, kademlia, tracker"),
    (["--discovery", "gossip,tracker"], "--discovery: tracker cannot be combined"),
    (["--peer", "a" * 254 + ":1"], "is not HOST:PORT"),
    (["--mine", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"], "is not a valid address of this network"),
    (["--mine", ADDRESS, "--mine-threads", "0"], "'--mine-threads'"),
    (["--mine", ADDRESS, "--mine-threads", "many"], "'--mine-threads'"),
    (["--mine", ADDRESS, "--mine-duty", "101"], "'--mine-duty'"),
    (["--mine", ADDRESS, "--mine-interval", "0"], "'--mine-interval'"),
    (["--mine", ADDRESS, "--mine-interval", "inf"], "'--mine-interval'"),
    (["--mine", ADDRESS, "--mine-interval", "nan"], "--mine-interval: nan is not a number of seconds"),
    (["--minimum-work", "0x10"], "--minimum-work: '0x10' is not 1 to 64 hex digits"),
    (["--minimum-work", "1" * 65], "is not 1 to 64 hex digits"),
    (["--zmq", "127.0.0.1:28332"], "--zmq: '127.0.0.1:28332' is neither tcp://HOST:PORT nor ipc://PATH"),
    (["--zmq", "tcp://127.0.0.1"], "--zmq: '127.0.0.1' is not HOST:PORT"),
    (["--zmq", "tcp://127.0.0.1:0"], "--zmq: '127.0.0.1:0' has no valid port"),
    (["--zmq", "inproc://x"], "is neither tcp://HOST:PORT nor ipc://PATH"),
    (["--zmq", "ipc://"], "is neither tcp://HOST:PORT nor ipc://PATH"),
    (["--zmq", "ipc:///a", "--zmq", "ipc:///a"], "--zmq: ipc:///a is given twice"),
    (["--engine", "gpu"], "'--engine'"),
    (["--name", "x" * 21], "--name: use up to 20 letters, digits, spaces and . _ -"),
    (["--name", " x"], "with no space at either end"),
    (["--name", "<b>"], "--name: use up to 20"),
    (["--name", "a/b"], "--name: use up to 20"),
    (["--name", "é"], "--name: use up to 20"),
    (["--role", "king"], "'--role'"),
    (["--role", "light", "--mine", ADDRESS], "--mine: a light node has no blocks to build on"),
    (["--bulk-budget", "0"], "'--bulk-budget'"),
    (["--log-format", "xml"], "'--log-format'"),
    (["--rpc-user", "alice"], "--rpc-user and --rpc-password must be given together"),
    (["--rpc-password", "x"], "--rpc-user and --rpc-password must be given together"),
    (["--rpc-user", "a:b", "--rpc-password", "x"], "has no colon"),
]


UNUSABLE = [
    (["--network", "no-such"], "no network file no-such (a network is regtest or such a file)"),
    (["--network", "/"], "--network / is a folder: give regtest or the network.toml in it"),
    (["--log-file", "/no/such/folder/log"], "--log-file: cannot write /no/such/folder/log: No such file or directory"),
    (["--config", "/no/such/file"], "--config: cannot read /no/such/file: No such file or directory"),
    (["--datadir", "/dev/null/x"], "--datadir: cannot create /dev/null/x/regtest: Not a directory"),
    (["--datadir", "/no-such-folder", "verify"], "holds no blocks: check --datadir and --network"),
    (["--datadir", "/no-such-folder", "reindex"], "does not exist: check --datadir and --network"),
]
"""Right as they are written, and of no use on this machine."""


@pytest.mark.parametrize(
    ("arguments", "line", "exit_code"),
    [*((*case, 2) for case in BAD_VALUES), *((*case, 1) for case in UNUSABLE)],
    ids=lambda part: " ".join(part)[:40] if isinstance(part, list) else None,
)
def test_a_bad_value_gets_one_line_and_exit_2_what_is_missing_exit_1(
    arguments: list[str], line: str, exit_code: int
) -> None:
    said = fails(*arguments, exit_code=exit_code)
    assert line in said
    assert said.startswith("groatd: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--no-such"], ["no-such"], ["--api"], ["verify", "extra"], ["verify", "--x"]])
def test_wrong_usage_gets_usage_lines_and_exit_2(arguments: list[str]) -> None:
    said = fails(*arguments, exit_code=2)
    assert said.startswith("Usage: groatd")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("p2p = ", "is not valid TOML"),
        ("p2p = " + "[" * 5_000, "is not valid TOML"),
        ("no-such = 1", "has an unknown key 'no-such'"),
        ("config = 'x'", "has an unknown key 'config'"),
        ("help = true", "has an unknown key 'help'"),
        ("mine-threads = '2'", "mine-threads in"),
        ("mine-threads = true", "mine-threads in"),
        ("mine-threads = 2.5", "mine-threads in"),
        ("mine-interval = '1'", "mine-interval in"),
        ("mine-threads = 0", "'--mine-threads'"),
        ("no-index = 1", "no-index in"),
        ("peer = [1]", "peer in"),
        ("p2p = ['127.0.0.1:1']", "p2p in"),
        ("[mine]\nthreads = 1", "mine in"),
        ("api = ['nonsense']", "is not HOST:PORT"),
    ],
)
def test_a_bad_file_gets_one_line(tmp_path: Path, content: str, line: str) -> None:
    file = tmp_path / "groat.toml"
    file.write_text(content)
    said = fails("--config", str(file), exit_code=1 if "TOML" in line else 2)
    assert line in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"name = ", "is not valid TOML"),
        (b"\xff", "is not valid TOML"),
        (b"x = " + b"[" * 5_000, "is not valid TOML"),
        (b"name = 'devnet'", "is missing"),
        (NETWORK.encode() + b"more = 1\n", "unknown key 'more'"),
        (NETWORK.replace("60", "150").encode(), "future_limit_s must be below gap_cap_s"),
    ],
)
def test_a_bad_network_file(tmp_path: Path, content: bytes, line: str) -> None:
    file = tmp_path / "network.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=line):
        read_network(str(file))
    with pytest.raises(ConfigError, match="is a folder"):
        read_network(str(tmp_path))


@pytest.mark.parametrize("error", [StoreError("the disk is full"), ConfigError("no key")])
def test_what_keeps_the_node_from_starting_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(config: Config) -> None:
        raise error

    monkeypatch.setattr(daemon, "run", refuse)
    assert fails("--datadir", str(tmp_path)) == f"groatd: {error}\n"


def test_why_a_node_had_to_stop_is_said_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(daemon, "run", lambda config: "the disk is full")
    assert fails("--datadir", str(tmp_path)) == ""  # the log has said it on standard error
    assert fails("--datadir", str(tmp_path), "--log-file", str(tmp_path / "log")) == "groatd: the disk is full\n"


def test_endpoints() -> None:
    assert read_endpoint("[::1]:80", "--p2p") == Endpoint("::1", 80)
    assert str(read_endpoint("[::1]:80", "--p2p")) == "[::1]:80"
    assert read_endpoint("my_host-1.local:65535", "--p2p") == Endpoint("my_host-1.local", 65535)


# files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_are_the_owners(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    assert mode(tmp_path / "a" / "b") == 0o700
    make_folder(tmp_path / "a" / "b")


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(ConfigError, match="is not a folder"):
        make_folder(tmp_path / "a")


def test_the_cookie_is_there_only_while_the_node_runs(tmp_path: Path) -> None:
    path = tmp_path / ".cookie"
    cookie = Cookie(path)
    user, colon, password = path.read_text().partition(":")
    assert (user, colon, len(bytes.fromhex(password))) == ("__cookie__", ":", 32)
    assert mode(path) == 0o600
    cookie.remove()
    assert not path.exists()
    again = Cookie(path)
    assert path.read_text() != f"{user}:{password}"
    again.remove()


def test_a_stale_cookie_is_replaced_whatever_its_mode(tmp_path: Path) -> None:
    path = tmp_path / ".cookie"
    path.write_text("old" * 100)
    path.chmod(0o644)
    cookie = Cookie(path)
    assert len(path.read_text()) == len("__cookie__:") + 64
    assert mode(path) == 0o600
    cookie.remove()


def test_a_second_node_does_not_take_the_cookie_away(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text("1234\n")
    cookie = Cookie(tmp_path / ".cookie")
    before = cookie and (tmp_path / ".cookie").read_text()
    with pytest.raises(ConfigError, match="is in use by process 1234: stop that first"):
        Cookie(tmp_path / ".cookie")
    assert (tmp_path / ".cookie").read_text() == before
    cookie.remove()


def test_a_cookie_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(ConfigError, match=r"cannot write .*\.cookie: No space left on device"):
        Cookie(tmp_path / ".cookie")
    monkeypatch.undo()
    Cookie(tmp_path / ".cookie").remove()  # its lock was let go


def test_the_node_keeps_its_key(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    key = read_node_key(path)
    assert len(key) == 32
    assert mode(path) == 0o600
    assert read_node_key(path) == key
    path.unlink()
    assert read_node_key(path) != key


@pytest.mark.parametrize("content", [b"", b"zz", b"00" * 32, b"ab" * 31, b"\xff\xfe"])
def test_a_damaged_key_is_not_overwritten(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "node.key"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="holds no key"):
        read_node_key(path)
    assert path.read_bytes() == content


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "mempool.dat"
    write_private(path, b"one")
    write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["mempool.dat"]
