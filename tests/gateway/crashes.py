"""`kill -9`, Ctrl-C and a failing disk at every step of writing the wallet file.

    python -m tests.gateway.crashes --runs 500

Each run takes a copy of one wallet and has a command end at one step, in one of the ways of
`Fault`. What the wallet gave to the node goes no further than the gateway: so its history can
only name what its file holds. Afterwards the file has to open, to know every payment that was
handed out or printed, and to have known it when it was handed out; no receiving address is given
out twice; and a person who repeats a payment, because the command said that it failed, pays once.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chain.address import decode_address
from chain.tx import decode_tx
from tests.functional.cluster import Cluster, make_cluster
from tests.gateway.commands import Commands, Outcome
from tests.gateway.faulty_disk import KILLS, Fault
from tests.gateway.proxy import CUT, Answer, Exchange, Gateway, Payment, Raw
from tests.gateway.purse import Purse

HOOK = "tests.gateway.faulty_disk"
COINS = 4
MATURITY = 100
BURN = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
AMOUNT = "0.51234567"
MAYBE = re.compile(r"may have been sent|do not repeat|before you repeat")
"""What a command says whose payment is not to be made again."""
SHORT_LEAST = 600
"""Bytes that a process may write to a file under `Fault.SHORT`: its error line has to fit."""
REPLIES = ("taken", "lost", "failed")
"""What the wallet is told of a payment that nobody gets."""


@dataclass(frozen=True, slots=True)
class Plot:
    """What is run, and how it ends."""

    command: str
    fault: Fault
    at: int
    reply: str

    def __str__(self) -> str:
        return f"{self.command}, {self.fault} at {self.at}, {self.reply}"


@dataclass
class Bench:
    """A node, a gateway that lets no payment through, and a wallet to copy."""

    folder: Path
    cluster: Cluster
    gateway: Gateway
    commands: Commands
    purse: Purse
    """Never altered; has coins, and one payment that waits."""
    known: set[str] = field(default_factory=set)
    """What its history names."""
    reply: str = "taken"
    number: int = 0
    """Of copies made."""

    def rule(self, exchange: Exchange) -> Answer | Raw | None:
        """Answers for payments."""
        if not exchange.payment:
            return None
        if self.reply == "taken":
            return Answer(200, exchange.payment.txid.encode())
        return CUT if self.reply == "lost" else Answer(500, b"internal error")

    def at(self, file: Path) -> Purse:
        """The wallet of a file."""
        return Purse(self.commands, file, *self.purse.nodes)

    def fresh(self, name: str = "") -> Purse:
        """A copy of the wallet in a folder of its own; no file for a command that makes one."""
        self.number += 1
        folder = self.folder / f"run{self.number}"
        folder.mkdir()
        purse = self.at(folder / "wallet.json")
        if name not in MAKERS:
            shutil.copy(self.purse.file, purse.file)
        return purse


MAKERS = ("create", "restore")
WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
COMMANDS: dict[str, tuple[str, ...]] = {
    "send": ("send", BURN, AMOUNT, "--yes"),
    "send all of a coin": ("send", BURN, "49.9", "--yes", "--fee-rate", "3"),
    "address --new": ("address", "--new"),
    "balance": ("balance",),
    "history": ("history",),
    "coins": ("coins",),
    "create": ("create",),
    "restore": ("restore",),
}


@contextmanager
def make_bench(folder: Path) -> Iterator[Bench]:
    """Everything that the runs share."""
    cluster = make_cluster(folder / "nodes", 1, (), (), "regtest")
    try:
        cluster.start()
        with Commands() as commands, Gateway(cluster.nodes[0].api) as gateway:
            (folder / "original").mkdir()
            purse = Purse(commands, folder / "original" / "wallet.json", gateway.url).create()
            cluster.rpc(0, "generatetoaddress", COINS, purse.address())
            cluster.rpc(0, "generatetoaddress", MATURITY, BURN)
            purse.get("send", purse.get("address", "--new")["address"], "0.1", "--yes")
            bench = Bench(folder, cluster, gateway, commands, purse)
            bench.known = purse.txids()
            gateway.rules = [bench.rule]
            # The last look is from the block before, so commands have something to write down.
            cluster.rpc(0, "generateblock", BURN, [])
            yield bench
    finally:
        cluster.close()


def steps(bench: Bench, command: str) -> list[str]:
    """The steps of writing that a command takes when nothing fails."""
    purse = bench.fresh(command)
    log = purse.file.parent / "steps"
    bench.reply = "taken"
    outcome = run(purse, command, log, Fault.NONE, 0)
    assert outcome.code == 0, outcome
    return log.read_text().splitlines()


def run(purse: Purse, command: str, log: Path, fault: Fault, at: int) -> Outcome:
    """The command, with its fault."""
    options = {"folder": str(purse.file.parent), "log": str(log), "fault": str(fault), "at": at}
    return purse.run(*COMMANDS[command], stdin=WORDS + "\n", hook=HOOK, hook_options=options)


def plots(bench: Bench, rng: random.Random, commands: Sequence[str] = tuple(COMMANDS)) -> list[Plot]:
    """Every command with every fault at every step, in random order."""
    size = bench.purse.file.stat().st_size
    every = []
    for command in commands:
        taken = steps(bench, command)
        for fault in Fault:
            if fault is Fault.NONE:
                continue
            places = range(1, len(taken) + 1)
            if fault is Fault.SHORT:
                places = range(SHORT_LEAST, size, size // 3)
            every += [Plot(command, fault, at, rng.choice(REPLIES)) for at in places]
    rng.shuffle(every)
    return every


def wrong(bench: Bench, plot: Plot) -> list[str]:
    """Carry out the plot; what is not as it should be."""
    purse = bench.fresh(plot.command)
    snapshots: list[tuple[str, Path]] = []

    def keep(payment: Payment) -> None:
        copy = purse.file.with_name(f"copy{len(snapshots)}.json")
        if purse.file.exists():
            shutil.copy(purse.file, copy)
        snapshots.append((payment.txid, copy))

    bench.reply, bench.gateway.on_payment = plot.reply, keep
    bench.gateway.payments.clear()
    outcome = run(purse, plot.command, purse.file.parent / "steps", plot.fault, plot.at)
    bench.gateway.on_payment = lambda _: None
    faults = wrong_ending(plot, outcome)
    if plot.command in MAKERS:
        return faults + wrong_start(purse, outcome)
    if plot.command == "address --new":
        return faults + wrong_address(bench, purse, outcome)
    return faults + wrong_payments(bench, purse, plot, outcome, dict(snapshots))


def wrong_ending(plot: Plot, outcome: Outcome) -> list[str]:
    """What the command said at its end."""
    if plot.fault in KILLS:
        return [] if outcome.code in (0, -9) else [f"ended strangely: {outcome}"]
    if "Traceback" in outcome.err or outcome.late or outcome.code not in (0, 1, 130):
        return [f"ended strangely: {outcome}"]
    if outcome.code == 0:
        return []
    errors = [line for line in outcome.lines if line.startswith("Error: ")]
    return [] if len(errors) == 1 else [f"not one line of error: {outcome}"]


def wrong_start(purse: Purse, outcome: Outcome) -> list[str]:
    """A wallet just made: whole or not there, and in nobody's way."""
    if outcome.code == 0:
        return opens(purse)
    if purse.file.exists():
        return opens(purse)
    again = purse.run("create")
    return opens(purse) if again.code == 0 else [f"cannot be made any more: {again}"]


def wrong_address(bench: Bench, purse: Purse, outcome: Outcome) -> list[str]:
    """An address that was printed is not handed out a second time."""
    again = purse.run("address", "--new")
    if again.code != 0:
        return [f"no addresses any more: {again}"]
    if outcome.code == 0 and outcome.json()["index"] >= again.json()["index"]:
        return [f"handed out twice: {outcome}"]
    return opens(purse)


def opens(purse: Purse) -> list[str]:
    """Every command can read it."""
    balance = purse.run("balance")
    return [] if balance.code == 0 else [f"does not open: {balance}"]


def wrong_payments(bench: Bench, purse: Purse, plot: Plot, outcome: Outcome, snapshots: dict[str, Path]) -> list[str]:
    """What the file knows of payments, at each of them and now; and what a person does next."""
    handed = [payment.txid for payment in bench.gateway.payments]
    printed = [outcome.json()["txid"]] if outcome.code == 0 and plot.command.startswith("send") else []
    bench.reply = "taken"
    after = purse.run("history")
    if after.code != 0:
        return [f"does not open: {after}"]
    shown = {row["txid"] for row in after.json()}
    faults = []
    if lost := (bench.known | {*handed, *printed}) - shown:
        faults.append(f"forgotten: {lost} after {outcome}")
    for txid, copy in snapshots.items():
        if txid not in bench.known and txid not in bench.at(copy).txids():
            faults.append(f"handed out before it was written down: {txid}")
    if not plot.command.startswith("send"):
        return faults + opens(purse)
    said_failed = outcome.code in (1, 130) and not MAYBE.search(outcome.err)
    if said_failed or not shown - bench.known:
        again = purse.run(*COMMANDS[plot.command])
        if again.code != 0:
            faults.append(f"cannot pay any more: {again} after {outcome}")
    if paid := payments_apart(bench.gateway.payments):
        faults.append(f"paid {paid} times: {outcome}")
    return faults + opens(purse)


def payments_apart(payments: Sequence[Payment]) -> int:
    """How many of the payments to BURN could confirm beside each other, if more than one."""
    script = decode_address(BURN)
    coins: dict[str, frozenset[bytes]] = {}
    for payment in payments:
        tx = decode_tx(payment.raw)
        if any(output.script == script for output in tx.outputs):
            coins[payment.txid] = frozenset(bytes(txin.outpoint) for txin in tx.inputs)
    apart: list[frozenset[bytes]] = []
    for spent in coins.values():
        if all(not spent & others for others in apart):
            apart.append(spent)
    return len(apart) if len(apart) > 1 else 0


# a disk that is really full


@contextmanager
def tiny_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes. Raises OSError where mounting is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise OSError(made.stderr.strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def wrong_when_full(bench: Bench, folder: Path) -> list[str]:
    """A payment with no room left for the file that replaces the old one; then with room again."""
    shutil.copy(bench.purse.file, folder / "wallet.json")
    purse = bench.at(folder / "wallet.json")
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(512)):
                pass
        except OSError:
            pass
    bench.gateway.payments.clear()
    bench.reply = "taken"
    outcome = purse.run(*COMMANDS["send"])
    faults = [] if outcome.code == 1 and "No space left" in outcome.err else [f"full, and yet: {outcome}"]
    if bench.gateway.payments:
        faults.append(f"handed out what could not be written down: {outcome}")
    filler.unlink()
    again = purse.run(*COMMANDS["send"])
    if again.code != 0:
        return [*faults, f"cannot pay any more: {again}"]
    if again.json()["txid"] not in purse.txids():
        faults.append("forgotten")
    return faults


# many of them


def campaign(folder: Path, runs: int, seed: int, *, show: bool = False) -> list[str]:
    """So many plots of all there are; what was wrong."""
    rng = random.Random(seed)
    with make_bench(folder) as bench:
        every = plots(bench, rng)
        if show:
            print(f"seed {seed}: {len(every)} plots, {runs} runs", flush=True)
        failures = []
        for number in range(runs):
            plot = every[number % len(every)]
            if number >= len(every):
                plot = Plot(plot.command, plot.fault, plot.at, rng.choice(REPLIES))
            found = [f"run {number}, {plot}: {fault}" for fault in wrong(bench, plot)]
            failures += found
            if show and found:
                print("\n".join(found), flush=True)
            if show and number % 50 == 49:
                print(f"{number + 1} runs, {len(failures)} failures", flush=True)
        if show:
            failures += _with_tiny_disk(bench)
        return failures


def _with_tiny_disk(bench: Bench) -> list[str]:
    try:
        with tiny_disk(bench.folder / "tiny", 64 * 1024) as disk:
            return wrong_when_full(bench, disk)
    except OSError as error:
        print(f"no small disk to fill: {error}")
        return []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="groat-crashes-") as folder:
        failures = campaign(Path(folder), given.runs, given.seed, show=True)
    print(f"seed {given.seed}: {given.runs} runs, {len(failures)} failures")
    print("\n".join(failures))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
