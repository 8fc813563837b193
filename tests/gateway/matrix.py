"""Every command of the wallet against every lie of a node.

    python -m tests.gateway.matrix
    python -m tests.gateway.matrix --lie "fresh pages" --command balance

Each cell is one command, asked through a gateway that lies, and what follows from it with an honest
node. Whatever the lie: the command ends in time and with little memory, says one line of error and
no traceback, writes one document or nothing; nothing unconfirmed or invented is shown as confirmed;
nothing is signed above the fee ceiling; and a person who does what the error says has paid once in
the end, on the chain of a node that never lied.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path

from chain.address import encode_address
from chain.hashes import sha256, to_hex
from chain.params import REGTEST
from chain.scripttype import p2wpkh_script
from chain.tx import COIN, Tx, decode_tx, outpoint_index, outpoint_txid
from tests.gateway import rules
from tests.gateway.bank import Bank
from tests.gateway.commands import Commands, Outcome
from tests.gateway.crashes import MAYBE
from tests.gateway.island import BURN, Islands, fee_ceiling, make_islands
from tests.gateway.lies import FEE_LIES, PAYMENT_LIES, QUERY_LIES, Expect, Lie
from tests.gateway.proxy import Gateway
from tests.gateway.purse import PASSWORD, Purse
from wallet.client import Esplora
from wallet.derivation import words_from_entropy
from wallet.keystore import Cost
from wallet.store import WalletFile

COMMAND_S = 20.0
SLOW_S = 100.0
"""For a command that has to wait for deadlines of 30 s: one of a query, one of a payment, and a rest."""
CPU_S = 10.0
MEMORY_BYTES_MAX = 400 * 1024 * 1024
AMOUNT = "0.7"
COINS = (50_000_000, 30_000_000, 20_000_000)
"""Of a wallet that pays: any payment takes two of them."""
FUNDED, FUNDED_BUSY = 30, 2
"""Wallets given coins at a time, in one block."""
PAGES, SMALL = 30, 100_000
"""More than a page of transactions at an address: so many, of so many satoshis each."""
WAIT_TIMES = 2
"""So often a payment that may wait for a block is lied to."""
COINBASES = 3
"""Of the wallet that is looked at."""
CHEAP = Cost(n=16)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

READS: dict[str, tuple[str, ...]] = {
    "balance": ("balance",),
    "history": ("history",),
    "coins": ("coins",),
    "address": ("address",),
    "address --new": ("address", "--new"),
    "send --dry-run": ("send", BURN, AMOUNT, "--dry-run"),
}
STARTS: dict[str, tuple[str, ...]] = {"create": ("create",), "restore": ("restore",)}
PAYS = ("send", "send max", "send --coin", "send --wait")
COMMANDS = (*READS, *STARTS, *PAYS)
WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"


@dataclass
class Paid:
    """An order that was tried, to be looked for on the chain."""

    name: str
    purse: Purse
    recipient: str
    handed: list[bytes] = field(default_factory=list)
    """Every transaction that the wallet gave away for it."""


@dataclass
class Scene:
    """Two nodes, a gateway that lies and one that does not, and wallets."""

    folder: Path
    islands: Islands
    bank: Bank
    commands: Commands
    liar: Gateway
    honest: Gateway
    reader: Purse
    """What is looked at; commands get a copy."""
    impatient: bool = False
    """Deadlines are shortened for the lies that have to be waited for."""
    number: int = 0
    """Of wallets made."""
    ready: dict[bool, list[Purse]] = field(default_factory=lambda: {True: [], False: []})
    """Wallets with mature coins, by whether they have pages of them."""
    orders: list[Paid] = field(default_factory=list)
    truth: dict[str, int] = field(default_factory=dict)
    """The balance of the wallet that is looked at; below what its transactions and coins are worth."""
    nets: dict[str, int] = field(default_factory=dict)
    coins: dict[str, int] = field(default_factory=dict)

    # wallets

    def make(self) -> Purse:
        """A new wallet; its password costs next to nothing."""
        self.number += 1
        file = self.folder / f"{self.number}.json"
        words = words_from_entropy(self.number.to_bytes(16, "big"))
        WalletFile.create(file, words, PASSWORD, REGTEST, Esplora.pause, CHEAP)
        return Purse(self.commands, file, self.honest.url)

    def fund(self, count: int, *, busy: bool = False) -> None:
        """So many more wallets with coins."""
        purses = [self.make() for _ in range(count)]
        for purse in purses:
            address = purse.address()
            self.bank.give(address, COINS)
            for _ in range(PAGES if busy else 0):
                self.bank.give(address, [SMALL])
        self.bank.confirm()
        self.ready[busy] += purses

    def take(self, *, busy: bool) -> Purse:
        """A wallet with mature coins that nobody has used."""
        if not self.ready[busy]:
            self.fund(FUNDED_BUSY if busy else FUNDED, busy=busy)
        return self.ready[busy].pop()

    def prepare(self) -> None:
        """What is looked at: pages of payments, one of them sent, one received from a wallet, and coinbases."""
        giver = self.take(busy=False)
        self.reader.get("send", BURN, "0.1", "--yes")
        giver.get("send", self.reader.address(), "0.2", "--yes")
        self.islands.mine(0, COINBASES, self.reader.address())
        self.truth = self.reader.get("balance")
        self.nets = {row["txid"]: row["net_sat"] for row in self.reader.get("history")}
        self.coins = {row["outpoint"]: row["value_sat"] for row in self.reader.get("coins")}

    # cells

    def cell(self, lie: Lie, command: str) -> list[str]:
        """What is wrong with a command that is lied to."""
        if command in STARTS:
            found = self.start(lie, command)
        elif command in READS:
            found = self.read(lie, command)
        else:
            found = self.pay(lie, command)
        return [f"{lie.name} / {command}: {fault}" for fault in found]

    def lied(self, lie: Lie, purse: Purse, *arguments: str, stdin: str = "") -> Outcome:
        """The command through the gateway that lies."""
        self.liar.payments.clear()
        self.liar.requests.clear()
        self.liar.rules = [lie.make()]
        purse.nodes = [self.liar.url]
        hook = "tests.gateway.impatience" if lie.slow and self.impatient else ""
        deadline_s = SLOW_S if lie.slow and not hook else COMMAND_S
        outcome = purse.run(*arguments, stdin=stdin, deadline_s=deadline_s, hook=hook)
        self.liar.rules = []
        purse.nodes = [self.honest.url]
        return outcome

    def start(self, lie: Lie, command: str) -> list[str]:
        """Making a new wallet asks nobody; restoring one searches the chain, and does without."""
        self.number += 1
        purse = Purse(self.commands, self.folder / f"{self.number}.json", self.honest.url)
        outcome = self.lied(lie, purse, *STARTS[command], stdin=WORDS + "\n")
        asked = [f"asked {path}" for path in self.liar.requests if command == "create"]
        return asked + ([] if outcome.code == 0 else [str(outcome)]) + wrong_manners(outcome)

    def read(self, lie: Lie, command: str) -> list[str]:
        """Looking."""
        file = self.folder / "copy.json"
        shutil.copy(self.reader.file, file)
        purse = Purse(self.commands, file, self.honest.url)
        outcome = self.lied(lie, purse, *READS[command])
        expect = lie.reads if command != "send --dry-run" else lie.pays
        lax = command.startswith("address") or (command == "send --dry-run" and lie in FEE_LIES)
        if lax and expect.codes != (0,):
            expect = Expect()
        found = wrong_manners(outcome) + wrong_end(outcome, expect)
        if any(payment.txid not in self.nets for payment in self.liar.payments):
            found.append(f"sent something: {outcome}")
        if outcome.code == 0 and not lie.unprovable:
            found += self.wrong_claims(command, outcome)
        after = purse.run("balance")
        if after.code != 0 or after.json() != self.truth:
            found.append(f"not {self.truth} afterwards: {after} after {outcome}")
        return found

    def wrong_claims(self, command: str, outcome: Outcome) -> list[str]:
        """More than the truth, shown as confirmed."""
        shown = outcome.json()
        match command:
            case "balance":
                if shown["confirmed_sat"] > self.truth["confirmed_sat"]:
                    return [f"confirmed: {shown}, and it is {self.truth}"]
            case "coins":
                claims = {row["outpoint"]: row["value_sat"] for row in shown if row["confirmations"] > 0}
                if more := {point: value for point, value in claims.items() if value > self.coins.get(point, 0)}:
                    return [f"{len(more)} coins shown as confirmed that are less or none: {str(more)[:300]}"]
            case "history":
                claims = {row["txid"]: row["net_sat"] for row in shown if row["confirmed"]}
                if more := {txid: net for txid, net in claims.items() if net > self.nets.get(txid, 0)}:
                    return [f"{len(more)} rows shown as confirmed that gave less or nothing: {str(more)[:300]}"]
            case "send --dry-run":
                paid = int(Decimal(AMOUNT) * COIN)
                return self.wrong_fee(shown["fee_sat"], shown["vsize"], paid, shown.get("warnings"))
        return []

    def wrong_fee(self, fee: int, vsize: float, paid: int, warnings: object = None) -> list[str]:
        """Above the ceiling without a word."""
        ceiling = fee_ceiling(paid, vsize)
        return [] if fee <= ceiling or warnings else [f"a fee of {fee}, above {ceiling}"]

    def pay(self, lie: Lie, command: str) -> list[str]:
        """Paying, and what a person does next with an honest node."""
        purse = self.take(busy=lie.busy)
        script = p2wpkh_script(sha256(f"{lie.name} / {command} {self.number}".encode())[:20])
        order = Paid(f"{lie.name} / {command}", purse, encode_address(script) or "")
        arguments = self.order(command, purse, order.recipient)
        if command == "send --wait" and lie in PAYMENT_LIES:
            # It may wait for a block, and then has to be told the truth some time.
            lie = replace(lie, make=partial(rules.first, WAIT_TIMES, lie.make()))
            self.liar.on_payment = lambda _: self.islands.mine(0)
        outcome = self.lied(lie, purse, *arguments)
        self.liar.on_payment = lambda _: None
        order.handed += [payment.raw for payment in self.liar.payments]
        found = wrong_manners(outcome) + wrong_end(outcome, lie.pays if command != "send --wait" else Expect())
        printed = {outcome.json()["txid"]} if outcome.code == 0 else set()
        self.honest.payments.clear()
        after = purse.run("history")
        shown = {row["txid"] for row in after.json()} if after.code == 0 else set()
        if missing := (printed | {payment.txid for payment in self.liar.payments}) - shown:
            found.append(f"not in the history: {missing} after {outcome}: {after}")
        if outcome.code == 1 and not MAYBE.search(outcome.err):
            again = purse.run(*arguments)
            if again.code != 0 and not self.liar.payments:
                found.append(f"cannot be paid with an honest node: {again} after {outcome}")
        order.handed += [payment.raw for payment in self.honest.payments]
        self.orders.append(order)
        return found

    def order(self, command: str, purse: Purse, recipient: str) -> tuple[str, ...]:
        """The arguments of a payment."""
        match command:
            case "send max":
                return ("send", recipient, "max", "--yes")
            case "send --coin":
                coins = [row["outpoint"] for row in purse.get("coins")[:2]]
                return ("send", recipient, AMOUNT, "--yes", "--coin", coins[0], "--coin", coins[1])
            case "send --wait":
                return ("send", recipient, AMOUNT, "--yes", "--wait")
        return ("send", recipient, AMOUNT, "--yes")

    # the end

    def settle(self) -> list[str]:
        """Give everything that was ever signed to an honest node, mine, and count."""
        found = []
        for order in self.orders:
            for raw in dict.fromkeys(order.handed):
                found += [f"{order.name}: {fault}" for fault in self.wrong_signing(decode_tx(raw), order)]
                self.islands.offer(0, raw.hex())
        self.islands.mine(0)
        for order in self.orders:  # those that stood on others
            for raw in dict.fromkeys(order.handed):
                self.islands.offer(0, raw.hex())
        self.islands.mine(0)
        self.islands.carry_blocks(0, 1)
        for order in self.orders:
            txs = self.islands.cluster.get_json(1, f"/api/address/{order.recipient}/txs")
            if len(txs) != 1:
                found.append(f"{order.name}: paid {len(txs)} times")
        self.orders.clear()
        return found

    def wrong_signing(self, tx: Tx, order: Paid) -> list[str]:
        """A fee above the ceiling, by the true values of the coins."""
        spent = 0
        for txin in tx.inputs:
            found = self.islands.value_of(0, to_hex(outpoint_txid(txin.outpoint)), outpoint_index(txin.outpoint))
            if found is None:
                return []  # it spends what does not exist, and will never confirm
            spent += found
        fee = spent - sum(output.value for output in tx.outputs)
        paid = sum(output.value for output in tx.outputs if encode_address(output.script) == order.recipient)
        return self.wrong_fee(fee, tx.weight / 4, paid)


def wrong_manners(outcome: Outcome) -> list[str]:
    """What holds for every command: time, memory, exit status, what is written where."""
    found = []
    if outcome.late:
        found.append("does not end")
    if outcome.memory_bytes > MEMORY_BYTES_MAX:
        found.append(f"{outcome.memory_bytes >> 20} MB")
    if outcome.cpu_s > CPU_S:
        found.append(f"{outcome.cpu_s:.0f} s of processor time")
    if not outcome.late and outcome.code not in (0, 1):
        found.append("exit status")
    if "Traceback" in outcome.err:
        found.append("traceback")
    errors = [line for line in outcome.lines if line.startswith("Error: ")]
    notes = [line for line in outcome.lines if line.startswith("Note: ")]
    strange = outcome.code == 1 and len(errors) + len(notes) < len(outcome.lines)
    if not outcome.late and (strange or len(errors) != (outcome.code == 1)):
        found.append("not one line of error")
    if CONTROL.search(outcome.out + outcome.err):
        found.append("control characters")
    if outcome.code == 0:
        try:
            json.loads(outcome.out)
        except ValueError:
            found.append("no document")
    elif outcome.out:
        found.append("a document, and an error")
    return [f"{', '.join(found)}: {outcome}"] if found else []


def wrong_end(outcome: Outcome, expect: Expect) -> list[str]:
    """Not what the lie's row says."""
    if outcome.late:
        return []
    if outcome.code not in expect.codes:
        return [f"exit {outcome.code}, not {expect.codes}: {outcome}"]
    if outcome.code == 1 and expect.error and not re.search(expect.error, outcome.err):
        return [f"says nothing of {expect.error!r}: {outcome}"]
    return []


@contextmanager
def make_scene(folder: Path, *, impatient: bool = False) -> Iterator[Scene]:
    """A scene with its nodes running."""
    with ExitStack() as stack:
        islands = make_islands(folder / "nodes", 2)
        stack.callback(islands.cluster.close)
        commands = stack.enter_context(Commands())
        liar, honest = (stack.enter_context(Gateway(islands.cluster.nodes[0].api)) for _ in range(2))
        none = Purse(commands, folder / "none.json")
        scene = Scene(folder, islands, Bank(islands), commands, liar, honest, none, impatient)
        scene.reader = scene.take(busy=True)
        scene.prepare()
        yield scene


def cells(lies: Sequence[Lie], commands: Sequence[str] = COMMANDS) -> list[tuple[Lie, str]]:
    """Every lie with every command that it is told to."""
    return [(lie, command) for lie in lies for command in commands if lie not in PAYMENT_LIES or command in PAYS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lie", default="", help="Only lies with this in their name.")
    parser.add_argument("--command", action="append", choices=COMMANDS, help="Only this command; may be repeated.")
    parser.add_argument("--quick", action="store_true", help="Without the lies that have to be waited for.")
    given = parser.parse_args()
    lies = [lie for lie in (*QUERY_LIES, *PAYMENT_LIES) if given.lie in lie.name and not (given.quick and lie.slow)]
    chosen = cells(lies, given.command or COMMANDS)
    failures: list[str] = []

    def tell(found: list[str]) -> None:
        failures.extend(found)
        for fault in found:
            print(fault[:900], flush=True)

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="groat-matrix-") as folder, make_scene(Path(folder)) as scene:
        for number, (lie, command) in enumerate(chosen, 1):
            tell(scene.cell(lie, command))
            if number % 100 == 0:
                tell(scene.settle())
                print(f"{number} of {len(chosen)} cells, {len(failures)} failures", flush=True)
        tell(scene.settle())
    print(f"{len(chosen)} cells in {time.monotonic() - began:.0f} s, {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
