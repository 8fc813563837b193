"""The `wallet` command: what it prints, how it fails, what it asks."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from chain.address import encode_address
from chain.hashes import to_hex
from chain.params import devnet_params
from chain.tx import COIN
from tests.wallet.conftest import CHEAP
from tests.wallet.esplora_server import STRANGER_ADDRESS, Chain, Server, serve
from wallet import keystore
from wallet.build import payable_script
from wallet.cli import cli
from wallet.console import global_options

ABANDON = "abandon " * 11 + "about"
FIRST = "bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk"
"""The first address of those words."""
P2SH = encode_address(b"\xa9\x14" + bytes(20) + b"\x87") or ""
Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore, "NEW_COST", CHEAP)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("GROAT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "w.json"


@pytest.fixture
def run(server: Server, file: Path) -> Run:
    """The command in this process, with a wallet file, the node and a password given by environment."""

    def invoke(*args: str, input: str | None = None, env: dict[str, str | None] | None = None) -> Result:
        given = {"GROAT_WALLET": str(file), "GROAT_NODE": server.url, "GROAT_WALLET_PASSWORD": "secret"}
        result = CliRunner(env=given | (env or {})).invoke(cli, args, input=input)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


@pytest.fixture
def funded(run: Run, chain: Chain) -> Run:
    """The same, with a wallet of ten confirmed coins."""
    assert run("restore", input=ABANDON).exit_code == 0
    chain.pay(payable_script(FIRST), *[COIN] * 10)
    return run


def facts(result: Result) -> Any:
    """The one JSON document on stdout."""
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def error(result: Result, code: int = 1) -> str:
    """The one line on stderr of a failure."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("Error: ").strip()


# create and restore


def test_create(run: Run, file: Path, server: Server) -> None:
    result = run("create", "--json")
    made = facts(result)
    assert list(made) == ["file", "network", "address", "words"]
    assert (made["file"], made["network"], len(made["words"].split())) == (str(file), "regtest", 12)
    assert "Write the words down" in result.stderr
    assert server.requests == []  # a new wallet needs no node
    assert facts(run("address", "--json")) == {"address": made["address"], "index": 0}
    copy = facts(run("--wallet", str(file) + "2", "restore", "--json", input=made["words"]))
    assert copy["address"] == made["address"]
    assert "words" not in copy


def test_the_words_of_a_wallet_made_are_always_shown(run: Run) -> None:
    """Even where the command would fail for something else."""
    assert len(facts(run("create", "--json", "--node", "ftp://nonsense"))["words"].split()) == 12


def test_create_for_people(run: Run) -> None:
    lines = run("create").stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["file", "network", "address", "words"]


def test_no_two_wallets_are_alike(run: Run, file: Path) -> None:
    words = {facts(run("create", "--json", "--wallet", f"{file}{n}"))["words"] for n in range(3)}
    assert len(words) == 3


def test_restore_prints_the_address_of_the_words(run: Run) -> None:
    assert facts(run("restore", "--json", input=f"  {ABANDON.upper()}\n"))["address"] == FIRST


def test_restore_says_what_it_looked_at(run: Run, file: Path, chain: Chain) -> None:
    chain.pay(payable_script(FIRST), 5_000, 6_000)
    restored = run("restore", input=ABANDON)
    assert restored.stderr == (
        "Looked at 21 receiving and 20 change addresses: 1 used, 0.00011000 coins. Addresses further on count once one "
        "before them is used.\n"
    )
    found = facts(run("restore", "--json", "--wallet", f"{file}2", input=ABANDON))["found"]
    assert found == {"receiving_addresses": 21, "change_addresses": 20, "used_addresses": 1, "balance_sat": 11_000}
    alone = run("restore", "--json", "--wallet", f"{file}3", input=ABANDON, env={"GROAT_NODE": "http://127.0.0.1:1"})
    assert facts(alone)["found"] is None
    assert "the chain was not searched for coins: no node answers" in alone.stderr
    assert Path(f"{file}3").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "0 words given: BIP39 has 12, 15, 18, 21 or 24"),
        ("abandon " * 12, "the words' checksum is wrong: check each word, and their order"),
        ("abandon " * 11 + "abuot", "word 12 is not a BIP39 word: did you mean 'about'?"),
    ],
)
def test_restore_with_wrong_words(run: Run, file: Path, words: str, says: str) -> None:
    assert error(run("restore", input=words)) == says
    assert not file.exists()


def test_an_existing_file_is_left_alone(run: Run, file: Path) -> None:
    file.write_text("precious")
    for command in ("create", "restore"):
        assert error(run(command, input=ABANDON)) == f"{file} already exists: choose another file with --wallet FILE"
    assert file.read_text() == "precious"


def test_networks(run: Run, file: Path, tmp_path: Path) -> None:
    params = devnet_params()
    lines = [f"{key} = {json.dumps(setting)}" for key, setting in params.to_mapping().items()]
    (tmp_path / "network.toml").write_text("\n".join(lines))
    made = facts(run("create", "--json", "--network", str(tmp_path / "network.toml")))
    assert made["network"] == "devnet"
    assert json.loads(file.read_text())["network"] == {"name": "devnet", "id": params.network_id.hex()}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read the network file"),
        ("nonsense", "is not a network file"),
        ('name = "x"', "is not a network file: network file: spacing_s is missing"),
        ("x = 1", "is not a network file: network file: unknown key 'x'"),
        ("\x00", "is not a network file"),
        ("x = " + "[" * 5_000, "is not a network file"),
        ("#" * 70_000, "too large"),
    ],
)
def test_networks_that_are_none(run: Run, file: Path, tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "network.toml"
    if content is not None:
        path.write_text(content)
    assert says in error(run("create", "--network", str(path)))
    assert not file.exists()


# looking


def test_balance(funded: Run, chain: Chain) -> None:
    chain.mine(1, payable_script(FIRST))
    chain.pay(payable_script(FIRST), 7_000, mine=False)
    assert facts(funded("balance", "--json")) == {
        "confirmed_sat": 10 * COIN,
        "unconfirmed_sat": 7_000,
        "immature_sat": 50 * COIN,
        "spendable_sat": 10 * COIN + 7_000,
    }
    assert funded("balance").stdout.splitlines() == [
        "confirmed:          10.00000000",
        "unconfirmed:         0.00007000",
        "immature:           50.00000000",
        "spendable:          10.00007000",
    ]


def test_coins(funded: Run, chain: Chain) -> None:
    mined = chain.mine(1, payable_script(FIRST))[0]
    rows = facts(funded("coins", "--json"))
    assert rows[0] == {
        "outpoint": f"{mined.txid[::-1].hex()}:0",
        "value_sat": 50 * COIN,
        "height": 2,
        "confirmations": 1,
        "spendable": False,
        "address": FIRST,
    }
    assert [row["value_sat"] for row in rows[1:]] == [COIN] * 10
    lines = funded("coins").stdout.splitlines()
    assert lines[0].split() == ["amount", "confirmations", "address"]
    assert lines[1].split() == ["50.00000000", "immature", "1", FIRST]
    assert lines[2] == f"  {rows[0]['outpoint']}"
    assert lines[3].split() == ["1.00000000", "2", FIRST]
    assert len(lines) == 1 + 2 * 11


def test_history(funded: Run, chain: Chain) -> None:
    sent = facts(funded("send", STRANGER_ADDRESS, "0.5", "--json"))
    rows = facts(funded("history", "--json"))
    assert rows[0] == {
        "txid": sent["txid"],
        "kind": "sent",
        "net_sat": -50_000_000 - sent["fee_sat"],
        "fee_sat": sent["fee_sat"],
        "confirmed": False,
        "height": None,
        "confirmations": 0,
        "time": None,
        "counterparties": [STRANGER_ADDRESS],
        "status": "unconfirmed",
        "conflict": None,
        "reason": None,
    }
    assert (rows[1]["kind"], rows[1]["net_sat"], rows[1]["height"], rows[1]["confirmations"]) == (
        "received",
        10 * COIN,
        1,
        1,
    )
    chain.mine()
    assert facts(funded("history", "--json"))[0]["confirmed"] is True
    lines = funded("history").stdout.splitlines()
    assert lines[0].split() == ["time", "kind", "amount", "fee_sat", "height"]
    assert lines[1].split()[2:] == ["sent", "-0.50000282", "282", "2"]
    assert lines[2:4] == [f"  {sent['txid']}", f"  to {STRANGER_ADDRESS}"]
    assert lines[4].split()[2:] == ["received", "+10.00000000", "1"]
    assert lines[6].startswith("  from bcrt1q")


def test_an_empty_wallet(run: Run) -> None:
    run("create")
    assert facts(run("coins", "--json")) == facts(run("history", "--json")) == []
    assert run("coins").stderr == "No coins yet.\n"
    assert run("history").stderr == "No transactions yet.\n"


def test_addresses(funded: Run) -> None:
    first = funded("address").stdout
    assert first == funded("address").stdout
    assert first.strip() != FIRST  # that one is used
    new = facts(funded("address", "--new", "--json"))
    assert new["index"] == 2
    drawn = funded("address", "--qr").stdout
    assert drawn.startswith(first)
    assert len(drawn.splitlines()) > 15
    assert facts(funded("address", "--qr", "--json"))["address"] == first.strip()


def test_an_address_without_a_node(run: Run) -> None:
    run("create")
    result = run("address", env={"GROAT_NODE": "http://127.0.0.1:1"})
    assert result.exit_code == 0
    assert result.stdout.startswith("bcrt1q")
    assert result.stderr.startswith("Note: not checked whether it was used: no node answers at http://127.0.0.1:1")


SEND = ["send", STRANGER_ADDRESS, "1"]


@pytest.mark.parametrize(
    "command", [["balance"], ["history"], ["coins"], ["address"], ["address", "--new"], SEND, [*SEND, "--dry-run"]]
)
def test_a_missing_wallet_is_not_made_by_looking(run: Run, tmp_path: Path, command: list[str]) -> None:
    missing = tmp_path / "no" / "such.json"
    says = error(run(*command, "--wallet", str(missing)))
    assert says == f"no wallet at {missing}: make one with `wallet create`, or give --wallet FILE"
    assert list(tmp_path.iterdir()) == []


def test_looking_needs_no_password_and_writes_nothing(funded: Run, file: Path) -> None:
    before = (file.read_bytes(), sorted(path.name for path in file.parent.iterdir()))
    for command in (["balance"], ["history"], ["coins"], ["address"], ["send", STRANGER_ADDRESS, "1", "--dry-run"]):
        assert funded(*command, env={"GROAT_WALLET_PASSWORD": "wrong"}).exit_code == 0
    assert (file.read_bytes(), sorted(path.name for path in file.parent.iterdir())) == before


def test_the_default_file_is_in_the_users_data_folder(run: Run, tmp_path: Path) -> None:
    made = facts(run("create", "--json", env={"GROAT_WALLET": ""}))
    assert made["file"] == str(tmp_path / "data" / "groat" / "wallet.json")
    assert (tmp_path / "data" / "groat").stat().st_mode & 0o777 == 0o700


# send


def test_send(funded: Run, chain: Chain) -> None:
    sent = facts(funded("send", STRANGER_ADDRESS, "0.3", "--json", "--fee-rate", "1.5"))
    assert list(sent) == ["txid", "recipients", "fee_sat", "fee_rate_sat_vb", "vsize", "change", "inputs"]
    assert sent["recipients"] == [{"address": STRANGER_ADDRESS, "value_sat": 30_000_000}]
    tx = next(iter(chain.pool.values()))
    assert sent["txid"] == tx.txid[::-1].hex()
    assert (sent["fee_sat"], sent["vsize"], sent["fee_rate_sat_vb"]) == (212, tx.vsize, pytest.approx(1.5, abs=0.02))
    assert [row["value_sat"] for row in sent["inputs"]] == [COIN]
    assert sent["inputs"][0]["address"] == FIRST
    assert sent["change"]["value_sat"] == COIN - 30_000_000 - 212
    txid, index = sent["change"]["outpoint"].split(":")
    assert txid == sent["txid"]
    assert tx.outputs[int(index)].value == sent["change"]["value_sat"]


def test_send_prints_the_txid_alone(funded: Run, chain: Chain) -> None:
    result = funded("send", STRANGER_ADDRESS, "30000sat", "--yes")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{next(iter(chain.pool))[::-1].hex()}\n"


def test_a_dry_run(funded: Run, chain: Chain) -> None:
    rows = facts(funded("send", STRANGER_ADDRESS, "0.3", "--dry-run", "--json"))
    assert rows["dry_run"] is True
    assert rows["fee_sat"] == 282
    result = funded("send", STRANGER_ADDRESS, "0.3", "--dry-run", "--target", "1", "--subtract-fee")
    assert result.stdout.startswith("nothing was sent; this would be:\n")
    assert chain.pool == {}


def test_a_dry_run_says_what_would_be_refused(funded: Run, chain: Chain) -> None:
    chain.minimum = 5
    says = "the node takes no less than 5 sat/vB now, and 1 is below: give --fee-rate 5 or more"
    result = funded("send", STRANGER_ADDRESS, "1", "--dry-run", "--json", "--fee-rate", "1")
    assert (facts(result)["warnings"], result.stderr) == ([says], f"Attention: {says}\n")
    assert error(funded("send", STRANGER_ADDRESS, "1", "--fee-rate", "1")) == f"{says}; nothing was sent"
    chain.minimum, chain.estimates = None, {"6": 900}
    result = funded("send", STRANGER_ADDRESS, "1", "--dry-run")
    says = "the fee of 0.00188100 coins follows the node's 900 sat/vB, above 100"
    assert (result.exit_code, result.stderr) == (0, f"Attention: {says}\n")
    assert facts(funded("send", STRANGER_ADDRESS, "1", "--dry-run", "--json", "--fee-rate", "2"))["warnings"] == []
    assert chain.pool == {}


def test_who_gets_what(funded: Run) -> None:
    sent = facts(funded("send", STRANGER_ADDRESS, "1", "--dry-run", "--json", "--subtract-fee"))
    [got] = sent["recipients"]
    assert got == {"address": STRANGER_ADDRESS, "value_sat": COIN - sent["fee_sat"]}
    lines = funded("send", STRANGER_ADDRESS, "0.3", "--dry-run").stdout.splitlines()
    assert lines[1:4] == [
        f"pays    0.30000000  {STRANGER_ADDRESS}",
        "change  0.69999718  bcrt1q9u62588spffmq4dzjxsr5l297znf3z6jkgnhsw",
        f"spends  1.00000000  {FIRST}",
    ]


def test_send_everything(funded: Run) -> None:
    named = facts(funded("coins", "--json"))[0]["outpoint"]
    sent = facts(funded("send", STRANGER_ADDRESS, "max", "--json", "--dry-run", "--coin", named))
    assert sent["recipients"][0]["value_sat"] == COIN - sent["fee_sat"]
    assert (sent["change"], [row["outpoint"] for row in sent["inputs"]]) == (None, [named])
    shown = funded("send", STRANGER_ADDRESS, "max", "--dry-run").stdout
    assert (shown.count("spends"), "and 5 more coins; --json lists all" in shown) == (5, True)
    sent = facts(funded("send", STRANGER_ADDRESS, "MAX", "--json"))
    assert sent["recipients"][0]["value_sat"] == 10 * COIN - sent["fee_sat"]
    assert (sent["change"], len(sent["inputs"])) == (None, 10)
    assert (
        error(funded("send", STRANGER_ADDRESS, "max"))
        == "not enough coins: none can be sent now (see `wallet balance`)"
    )


def test_payment_uris(funded: Run, chain: Chain, command: Callable[..., "subprocess.Popen[bytes]"]) -> None:
    uri = f"bitcoin:{STRANGER_ADDRESS}?amount=0.25&label=Alice%20B&message=for%1B%5B31m+the%0Acake&other=1"
    assert facts(funded("send", uri, "--json", "--dry-run"))["recipients"][0]["value_sat"] == COIN // 4
    terminal = Terminal(command, "send", uri)
    terminal.expect("[y/N]:")
    assert "The URI's label: Alice B" in terminal.text
    assert "The URI's message: for [31m+the cake" in terminal.text
    terminal.type("y\n")
    assert terminal.end() == 0
    assert len(chain.pool) == 1
    assert funded("send", uri, "0.25", "--dry-run").exit_code == 0
    bare = facts(funded("send", f"BITCOIN:{STRANGER_ADDRESS.upper()}", "0.1", "--json", "--dry-run"))
    assert bare["recipients"] == [{"address": STRANGER_ADDRESS, "value_sat": COIN // 10}]


def test_send_all_with_the_fee_subtracted(funded: Run) -> None:
    sent = facts(funded("send", STRANGER_ADDRESS, "10", "--subtract-fee", "--json"))
    assert (sent["change"], len(sent["inputs"])) == (None, 10)
    assert facts(funded("balance", "--json"))["spendable_sat"] == 0


def test_send_the_coins_named(funded: Run) -> None:
    named = [row["outpoint"] for row in facts(funded("coins", "--json"))][4:6]
    sent = facts(funded("send", STRANGER_ADDRESS, "0.1", "--json", "--coin", named[0], "--coin", named[1]))
    assert sorted(row["outpoint"] for row in sent["inputs"]) == sorted(named)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([STRANGER_ADDRESS, "100"], "not enough coins: at most 9.99998556 coins can be sent with a fee of 2 sat/vB"),
        ([STRANGER_ADDRESS, "100sat"], "100 sat is too little to pay: nodes take at least 294 sat for this address"),
        ([P2SH, "1"], "coins paid to P2SH could never be spent on this network"),
        (
            [STRANGER_ADDRESS, "0.001", "--fee-rate", "5000"],
            "is more than a tenth of the 0.00100000 coins paid: nothing was sent; ",
        ),
        ([STRANGER_ADDRESS, "1", "--coin", "00" * 32 + ":0"], "is not this wallet's, or spent: see `wallet coins`"),
    ],
)
def test_payments_that_cannot_be(funded: Run, chain: Chain, args: list[str], says: str) -> None:
    assert says in error(funded("send", *args, "--json"))
    assert chain.pool == {}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([STRANGER_ADDRESS, "0"], "'0' cannot be paid: an amount is above 0 and at most 21000000 coins"),
        ([STRANGER_ADDRESS, "0.000000001"], "is not an amount: write coins with up to 8 decimals"),
        ([STRANGER_ADDRESS, "1e5"], "is not an amount"),
        ([STRANGER_ADDRESS, "14999999796"], "or satoshis (14999999796sat)"),
        (["hello", "1"], "'hello' is not a valid address"),
        (["", "1"], "'' is not a valid address"),
        ([STRANGER_ADDRESS[:-1] + "q", "1"], "is not a valid address: wrong checksum, a letter may be mistyped"),
        (
            ["bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu", "1"],
            "is an address of another network: here they start with bcrt1",
        ),
        ([STRANGER_ADDRESS, "1", "--fee-rate", "x"], "'x' is not a fee rate"),
        ([STRANGER_ADDRESS, "1", "--fee-rate", "0"], "out of range: above 0, at most 10000"),
        ([STRANGER_ADDRESS, "1", "--fee-rate", "20000"], "out of range: above 0, at most 10000"),
        ([STRANGER_ADDRESS, "1", "--max-fee", "x"], "'x' is not an amount"),
        ([STRANGER_ADDRESS, "1", "--max-fee", "5000"], "a fee of 5000 coins is not meant: write satoshis as 5000sat"),
        ([STRANGER_ADDRESS, "1", "--target", "0"], "Invalid value for '--target'"),
        ([STRANGER_ADDRESS, "1", "--target", "1009"], "Invalid value for '--target'"),
        ([STRANGER_ADDRESS, "1", "--target", "x"], "Invalid value for '--target'"),
        (
            [STRANGER_ADDRESS, "1", "--coin", "x"],
            "for '--coin': 'x' is not an outpoint: write txid:index",
        ),
        (["bitcoin:hello", "1"], "'hello' is not a valid address"),
        ([f"bitcoin:{STRANGER_ADDRESS}?amount=x"], "'x' is not an amount"),
        ([f"bitcoin:{STRANGER_ADDRESS}?req-lock=1", "1"], "requires 'req-lock', which this wallet does not know"),
    ],
)
def test_values_that_are_none_are_wrong_usage_told_in_one_line(
    funded: Run, server: Server, args: list[str], says: str
) -> None:
    server.requests.clear()
    assert says in error(funded("send", *args, "--json"), 2)
    assert server.requests == []


def test_the_limit_of_payments_in_a_row(run: Run, chain: Chain) -> None:
    run("restore", input=ABANDON)
    chain.pay(payable_script(FIRST), COIN)
    for _ in range(25):
        assert run("send", STRANGER_ADDRESS, "5000sat").exit_code == 0
    assert error(run("send", STRANGER_ADDRESS, "5000sat")).endswith("wait for a block, or let --wait do it")


def test_a_wrong_password(funded: Run, chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("wrong")
    for env, args in (({"GROAT_WALLET_PASSWORD": "wrong"}, []), ({}, ["--password-file", str(tmp_path / "pw")])):
        says = error(funded("send", STRANGER_ADDRESS, "1", *args, env=env))
        assert says == "wrong password (or the wallet file was changed by something else)"
    assert chain.pool == {}


@pytest.mark.parametrize("content", [b"secret", b"secret\n", b"secret\r\n"])
def test_password_files(funded: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pw").write_bytes(content)
    result = funded(
        "send", STRANGER_ADDRESS, "1", "--password-file", str(tmp_path / "pw"), env={"GROAT_WALLET_PASSWORD": "x"}
    )
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"secret\n\n", "wrong password"),
        (b"secret\r", "wrong password"),
        (b"\xff", "is not UTF-8 text"),
        (b"secret\xed\xb3\xbf", "is not UTF-8 text"),
        (b"x" * 5_000, "is too long to be a password file"),
        (None, "cannot read the password file"),
    ],
)
def test_password_files_that_do_not_do(funded: Run, tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "pw").write_bytes(content)
    assert says in error(funded("send", STRANGER_ADDRESS, "1", "--password-file", str(tmp_path / "pw")))


def test_a_password_in_the_environment_that_is_no_text(funded: Run, file: Path, chain: Chain) -> None:
    """Bytes that are not UTF-8 come as lone surrogates."""
    no_text = {"GROAT_WALLET_PASSWORD": b"secret\xff".decode(errors="surrogateescape")}
    assert error(funded("send", STRANGER_ADDRESS, "1", env=no_text)) == "the password is not UTF-8 text"
    for command_line in (["create"], ["restore"]):
        args = [*command_line, "--wallet", f"{file}2"]
        assert error(funded(*args, input=ABANDON, env=no_text)) == "the password is not UTF-8 text"
    assert not Path(f"{file}2").exists()
    assert chain.pool.keys() == set()


def test_no_password_and_nobody_to_ask(funded: Run) -> None:
    says = error(funded("send", STRANGER_ADDRESS, "1", env={"GROAT_WALLET_PASSWORD": None}))
    assert says == "no password: give --password-file FILE, or set GROAT_WALLET_PASSWORD"


def test_a_damaged_file(run: Run, file: Path) -> None:
    run("create")
    file.write_bytes(file.read_bytes()[:-40])
    says = error(run("balance"))
    assert says.startswith(f"{file} is not a wallet file, or is damaged: it does not parse")
    assert says.endswith("restore it from a copy or its words")


# options everywhere, usage, help


def test_global_options_before_and_after(funded: Run, file: Path, server: Server) -> None:
    nothing = {"GROAT_WALLET": "/nowhere", "GROAT_NODE": "http://127.0.0.1:1"}
    given = ["--json", "--wallet", str(file), "--node", server.url]
    expected = facts(funded("balance", "--json"))
    for split in range(len(given) + 1):
        if split in (2, 4):
            continue  # between an option and its value
        assert facts(funded(*given[:split], "balance", *given[split:], env=nothing)) == expected


def test_the_last_word_of_the_command_line_counts(funded: Run, file: Path) -> None:
    assert funded("--wallet", "/nowhere", "balance", "--wallet", str(file)).exit_code == 0


def test_the_next_node_is_asked(funded: Run, server: Server) -> None:
    with serve(Chain()) as other:
        both = ["--node", "http://127.0.0.1:1", "--node", server.url]
        for args in (
            [*both, "balance", "--json"],
            ["balance", "--json", *both],
            [*both[:2], "balance", "--json", *both[2:]],
        ):
            assert facts(funded(*args, env={"GROAT_NODE": other.url}))["confirmed_sat"] == 10 * COIN
    env = {"GROAT_NODE": f"http://127.0.0.1:1 {server.url}"}
    assert facts(funded("balance", "--json", env=env))["confirmed_sat"] == 10 * COIN


def test_a_node_that_is_none(funded: Run) -> None:
    says = error(funded("balance", "--node", "ftp://nonsense"), 2)
    assert says == "'ftp://nonsense' is not a node's URL: write it like http://127.0.0.1:18443"


def test_the_port_for_peers(funded: Run, server: Server) -> None:
    server.before = lambda path: (404, f'endpoint does not exist "{path}"')
    says = error(funded("balance"))
    assert says.endswith("this is not a node's API: --node may name its port for peers (P2P)")


def test_a_folder_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    says = error(run("create", env={"GROAT_WALLET": ""}))
    assert says.startswith(f"cannot make the folder {tmp_path}/data/groat: ")
    assert says.endswith("; choose another place with --wallet FILE")


def test_a_network_by_its_name(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A devnet's name is no file; where its file is gets told, if it is where `devnet up` puts it."""
    monkeypatch.chdir(tmp_path)
    hint = "give regtest, or a network's TOML file (a devnet's is network.toml in its folder)"
    assert (
        error(run("create", "--network", "devnet"))
        == f"cannot read the network file devnet: No such file or directory; {hint}"
    )
    for folder in (tmp_path / "data" / "groat" / "devnet", tmp_path / "devnet"):
        folder.mkdir(parents=True)
        (folder / "network.toml").touch()
        assert error(run("create", "--network", "devnet")).endswith(
            f"; give {folder.relative_to(tmp_path) if folder.parent == tmp_path else folder}/network.toml"
        )


def test_no_node(funded: Run) -> None:
    says = error(funded("balance", env={"GROAT_NODE": "http://127.0.0.1:1"}))
    assert says == "no node answers at http://127.0.0.1:1: start one (`devnet up` or `groatd`), or give --node URL"


def test_options_by_environment(funded: Run, chain: Chain) -> None:
    env = {"GROAT_JSON": "1", "GROAT_FEE_RATE": "4", "GROAT_SUBTRACT_FEE": "true", "GROAT_DRY_RUN": "yes"}
    rows = facts(funded("send", STRANGER_ADDRESS, "1", env=env))
    assert (rows["dry_run"], rows["fee_sat"]) == (True, 440)
    assert chain.pool == {}


def every_option() -> Iterator[tuple[str, click.Option]]:
    for name, command in cli.commands.items():
        for param in command.params:
            if isinstance(param, click.Option):
                yield name, param


def test_every_option_is_an_environment_variable() -> None:
    shared = {option.name: option.envvar for option in global_options(environment=True)}
    assert shared == {
        "json": "GROAT_JSON",
        "wallet": "GROAT_WALLET",
        "node": "GROAT_NODE",
        "password_file": "GROAT_PASSWORD_FILE",
    }
    for name, option in every_option():
        if option.name not in shared:
            assert option.envvar == "GROAT_" + (option.name or "").upper(), name


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["nonsense"],
        ["balance", "extra"],
        ["balance", "--nonsense"],
        ["--nonsense", "balance"],
        ["send"],
        ["send", STRANGER_ADDRESS],
        ["send", f"bitcoin:{STRANGER_ADDRESS}"],
        ["send", f"bitcoin:{STRANGER_ADDRESS}?amount=0.5", "0.4"],
        ["send", f"bitcoin:{STRANGER_ADDRESS}?amount=0.5", "max"],
        ["send", STRANGER_ADDRESS, "max", "--subtract-fee"],
        ["send", STRANGER_ADDRESS, "1", "--fee-rate"],
        ["send", STRANGER_ADDRESS, "1", "--fee-rate", "1", "--target", "1"],
        ["bump", "00"],  # not yet
    ],
)
def test_wrong_usage_is_exit_2(run: Run, args: list[str], server: Server) -> None:
    result = run(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: ")
    assert server.requests == []


@pytest.mark.parametrize(
    "args", [[], ["create"], ["restore"], ["address"], ["balance"], ["send"], ["history"], ["coins"]]
)
def test_help_has_examples(run: Run, args: list[str]) -> None:
    result = run(*args, "--help")
    assert result.exit_code == 0
    assert f"  wallet {args[0] if args else 'create'}" in result.stdout
    assert "--password-file" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert run(*args, "-h").stdout == result.stdout


def test_the_commands_are_those_of_the_contract() -> None:
    assert set(cli.commands) == {"create", "restore", "address", "balance", "send", "history", "coins"}


def test_completion(run: Run) -> None:
    assert 'eval "$(_WALLET_COMPLETE=bash_source wallet)"' in run("--help").stdout
    answer = CliRunner().invoke(
        cli, prog_name="wallet", env={"_WALLET_COMPLETE": "bash_complete", "COMP_WORDS": "wallet se", "COMP_CWORD": "1"}
    )
    assert answer.stdout.strip() == "plain,send"


def test_help_imports_no_more_than_it_shows() -> None:
    """What takes long to import is left to the commands that need it."""
    heavy = {"requests", "rich", "segno", "cryptography", "coincurve", "bip32", "mnemonic"}
    shown = subprocess.run(
        [sys.executable, "-c", f"import sys, wallet.cli; print(*(set(sys.modules) & {heavy}))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "\n"


def test_the_version(run: Run) -> None:
    assert run("--version").stdout.startswith("wallet, groat ")


# the process


@pytest.fixture
def command(server: Server, file: Path) -> Callable[..., "subprocess.Popen[bytes]"]:
    """The command as a process of its own."""
    environment = os.environ | {
        "GROAT_WALLET": str(file),
        "GROAT_NODE": server.url,
        "GROAT_WALLET_PASSWORD": "secret",
        "NO_COLOR": "1",
        "TERM": "xterm",
        "COLUMNS": "200",
    }

    def start(*args: str, env: dict[str, str | None] | None = None, **options: Any) -> "subprocess.Popen[bytes]":
        program = [sys.executable, "-c", "from wallet.cli import main; main()", *args]
        merged = {name: given for name, given in {**environment, **(env or {})}.items() if given is not None}
        return subprocess.Popen(program, env=merged, **options)

    return start


def test_payments_from_several_processes_at_once(
    funded: Run, chain: Chain, command: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    started = [command("send", STRANGER_ADDRESS, f"{n + 1}000000sat", stdout=subprocess.PIPE) for n in range(6)]
    txids = []
    for process in started:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        txids.append(out.decode().strip())
    assert len(set(txids)) == 6
    assert set(txids) == {txid[::-1].hex() for txid in chain.pool}
    assert len(chain.handed_in) == 7  # none was refused on the way


def test_a_closed_pipe_is_no_drama(funded: Run, command: Callable[..., "subprocess.Popen[bytes]"]) -> None:
    with command("coins", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 1)


class Terminal:
    """A command with a terminal for stdin, stdout and stderr."""

    def __init__(self, start: Callable[..., "subprocess.Popen[bytes]"], *args: str, **options: Any) -> None:
        self.master, slave = pty.openpty()
        self.process = start(*args, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, **options)
        os.close(slave)
        self.text = ""

    def expect(self, words: str) -> None:
        """Read until the words appear."""
        deadline = time.monotonic() + 60
        while words not in self.text:
            assert time.monotonic() < deadline, self.text
            self._read(1.0)

    def type(self, line: str) -> None:
        os.write(self.master, line.encode())

    def interrupt(self) -> None:
        """Ctrl-C, until it is noticed: one that comes just before the prompt waits is lost in readline."""
        for _ in range(6):
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                continue
            return

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read(60.0):
            pass
        os.close(self.master)
        return self.process.wait(60)

    def _read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            content = os.read(self.master, 65_536)
        except OSError:  # Linux says end of file this way
            return False
        self.text += content.decode(errors="replace")
        return bool(content)


def test_a_person_is_asked(funded: Run, chain: Chain, command: Callable[..., "subprocess.Popen[bytes]"]) -> None:
    terminal = Terminal(command, "send", STRANGER_ADDRESS, "0.5")
    terminal.expect(f"Pay 0.50000000 to {STRANGER_ADDRESS}, with a fee of 0.00000282 (2.00 sat/vB)? [y/N]:")
    assert chain.pool == {}
    terminal.type("y\n")
    assert terminal.end() == 0
    assert f"txid    {next(iter(chain.pool))[::-1].hex()}" in terminal.text
    terminal = Terminal(command, "send", STRANGER_ADDRESS, "0.5")
    terminal.expect("[y/N]:")
    terminal.type("n\n")
    assert terminal.end() == 1
    assert "Error: nothing was sent" in terminal.text
    assert len(chain.pool) == 1
    terminal = Terminal(command, "send", STRANGER_ADDRESS, "0.5", "--yes")
    assert terminal.end() == 0
    assert len(chain.pool) == 2


def test_what_is_typed_may_be_no_text(
    funded: Run, chain: Chain, command: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    for prompt, env in (("Password:", {"GROAT_WALLET_PASSWORD": None}), ("[y/N]:", {})):
        terminal = Terminal(command, "send", STRANGER_ADDRESS, "0.5", env=env)
        terminal.expect(prompt)
        os.write(terminal.master, b"y\xff\xfe\n")
        if prompt == "[y/N]:":
            terminal.type("n\n")  # an answer that is none is asked for again
        assert terminal.end() == 1
        assert "Traceback" not in terminal.text
        assert re.search(r"Error: [^\r\n]+\r?\n$", terminal.text), terminal.text
    assert chain.pool == {}


def test_waiting_for_a_block_on_a_terminal(
    run: Run, chain: Chain, command: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    """Whoever asks to wait is not told to."""
    run("restore", input=ABANDON)
    chain.pay(payable_script(FIRST), COIN)
    for _ in range(25):
        assert run("send", STRANGER_ADDRESS, "5000sat").exit_code == 0
    terminal = Terminal(command, "send", STRANGER_ADDRESS, "5000sat", "--wait")
    terminal.expect("at the node's limit of unconfirmed transactions: waiting for block 2")
    chain.mine()
    terminal.expect("[y/N]:")
    terminal.type("y\n")
    assert terminal.end() == 0
    assert len(chain.pool) == 1


@pytest.mark.parametrize("dry", [True, False])
def test_waiting_for_a_block_in_a_script(
    run: Run, chain: Chain, command: Callable[..., "subprocess.Popen[bytes]"], dry: bool
) -> None:
    run("restore", input=ABANDON)
    chain.pay(payable_script(FIRST), COIN)
    for _ in range(25):
        assert run("send", STRANGER_ADDRESS, "5000sat").exit_code == 0
    args = ["--dry-run"] if dry else []
    process = command(
        "send", STRANGER_ADDRESS, "5000sat", "--wait", *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr
    assert b"waiting for block 2" in process.stderr.readline()
    chain.mine()
    process.communicate(timeout=60)
    assert (process.returncode, len(chain.pool)) == (0, 0 if dry else 1)


def test_a_person_is_asked_about_a_fee_above_the_ceiling(
    funded: Run, chain: Chain, command: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    chain.estimates = {"6": 700}
    says = "the fee of 98700 sat follows the node's 700 sat/vB, above 100"
    terminal = Terminal(command, "send", STRANGER_ADDRESS, "1000sat")
    terminal.expect(f"Attention: {says}.")
    terminal.expect("with a fee of 0.00098700 (700.00 sat/vB)? [y/N]:")
    terminal.type("n\n")
    assert terminal.end() == 1
    terminal = Terminal(command, "send", STRANGER_ADDRESS, "1000sat", "--yes")
    assert terminal.end() == 1
    refusal = f"{says}: nothing was sent; lower it with --fee-rate, or allow it with --max-fee 0.00098700"
    assert f"Error: {refusal}" in terminal.text
    assert error(funded("send", STRANGER_ADDRESS, "1000sat")) == refusal
    assert error(funded("send", STRANGER_ADDRESS, "1000sat", "--max-fee", "98699sat")).startswith(
        "the fee of 98700 sat is above the maximum of 98699 sat: nothing was sent"
    )
    assert chain.pool == {}
    terminal = Terminal(command, "send", STRANGER_ADDRESS, "1000sat")
    terminal.expect("[y/N]:")
    terminal.type("y\n")
    assert terminal.end() == 0
    assert facts(funded("send", STRANGER_ADDRESS, "1000sat", "--json", "--max-fee", "0.000987"))["fee_sat"] == 98_700
    assert len(chain.pool) == 2


def test_ctrl_c_is_clean(funded: Run, chain: Chain, command: Callable[..., "subprocess.Popen[bytes]"]) -> None:
    terminal = Terminal(command, "send", STRANGER_ADDRESS, "0.5")
    terminal.expect("[y/N]:")
    terminal.interrupt()
    assert terminal.end() == 130
    assert terminal.text.rstrip().endswith("Error: interrupted")
    assert "Traceback" not in terminal.text
    assert chain.pool == {}


def test_a_new_wallet_in_dialogue(chain: Chain, command: Callable[..., "subprocess.Popen[bytes]"], file: Path) -> None:
    ask = {"GROAT_WALLET_PASSWORD": None}
    terminal = Terminal(command, "restore", env=ask)
    terminal.expect("Words:")
    terminal.type(ABANDON + "\n")
    terminal.expect("New password:")
    terminal.type("swordfish\n")
    terminal.expect("Repeat for confirmation:")
    terminal.type("swordfish\n")
    assert terminal.end() == 0
    assert FIRST in terminal.text
    chain.pay(payable_script(FIRST), COIN)
    terminal = Terminal(command, "send", STRANGER_ADDRESS, "0.5", "--yes", env=ask)
    terminal.expect("Password:")
    terminal.type("swordfish\n")
    assert terminal.end() == 0
    assert "swordfish" not in terminal.text
    assert len(chain.pool) == 1


@pytest.mark.parametrize("command_line", [["coins"], ["history"], ["send", STRANGER_ADDRESS, "12.34567", "--dry-run"]])
def test_nothing_is_wider_than_80_columns(
    funded: Run, chain: Chain, command: Callable[..., "subprocess.Popen[bytes]"], command_line: list[str]
) -> None:
    chain.pay(payable_script(FIRST), 12_345 * COIN // 100)
    chain.pay(payable_script(FIRST), 7_000, mine=False)
    funded("send", STRANGER_ADDRESS, "0.5")
    terminal = Terminal(command, *command_line, env={"NO_COLOR": None, "COLUMNS": "80"})
    assert terminal.end() == 0
    assert ("\x1b[" in terminal.text) == (command_line[0] != "send")
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.text).replace("\r", "\n").splitlines()
    for lines in (shown, funded(*command_line).stdout.splitlines()):
        assert max(map(len, lines)) <= 80
        assert any(re.fullmatch(r" +[0-9a-f]{64}(:\d+)?", line) for line in lines), "an id is a line of its own"


def test_a_payment_whose_txid_could_not_be_printed_is_not_made_again(
    funded: Run, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("wallet.commands.write_sent", full)
        assert "No space left on device" in error(funded("send", STRANGER_ADDRESS, "0.5", "--yes"))
    [txid] = map(to_hex, chain.pool)
    again = funded("send", STRANGER_ADDRESS, "0.5", "--yes")
    assert again.stdout == txid + "\n"
    assert "nothing more was paid" in again.stderr
