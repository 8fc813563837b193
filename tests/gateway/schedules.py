"""Random schedules of lost answers, refusals, lags, restarts and blocks between a wallet and real nodes.

    python -m tests.gateway.schedules --runs 200 --seed 7

A run is a wallet with two or three nodes, each behind a gateway, and a person who pays: after
"may have been sent" or a txid they never repeat a payment, after any other error they do, and
after a command that was killed they look into the history first. What a node hears of another is
carried there by the schedule. At the end everything heals, and the chain has to show that

- no order was paid twice, and each that had printed a txid was paid;
- the history names every txid that was printed, or handed to a node;
- no payment cost more than what the wallet allows without being told;
- the balance is what the chain says.

A run is made again by `--seed N --only NUMBER`.
"""

import argparse
import os
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

from chain.address import encode_address
from chain.hashes import sha256
from chain.scripttype import p2wpkh_script
from chain.tx import COIN
from tests.gateway import rules
from tests.gateway.commands import Commands, Outcome
from tests.gateway.crashes import MAYBE
from tests.gateway.island import MATURITY, Islands, fee_ceiling, make_islands
from tests.gateway.proxy import Gateway, Rule
from tests.gateway.purse import Purse

BATCH = 20
"""Runs that share their nodes."""
COINS = 3
"""Of each wallet at first, 50 coins each."""
STEPS = 18
ORDERS_MAX = 6
ATTEMPTS_MAX = 4
"""How often a person tries one payment."""
COMMAND_S = 60.0
HEALING_ROUNDS = 2
BURIAL = 7
"""Blocks at the end: a conflict is buried under them."""
NOT_READY = ("502", "503")
"""What a wallet waits for, up to half a minute."""
OUTPUT_CHARS = 240
"""Of a command's output, in the diary."""
SUBJECT = re.compile(r"payment ([0-9a-f]{64})")

REFUSALS = (
    "-25: bad-txns-inputs-missingorspent",
    "-26: too-long-mempool-chain, too many unconfirmed ancestors [limit: 25]",
    "-26: txn-already-known",
    "-27: Transaction outputs already in utxo set",
    "-27: transaction already in block chain",
    "-26: insufficient fee, rejecting replacement",
    "-26: min relay fee not met, 100 < 141",
    "-26: mempool min fee not met, 141 < 300",
    "-26: mempool full",
    "-26: txn-mempool-conflict",
    "-26: non-final",
    "-26: busy",
    "-25: Missing inputs",
    "-22: TX decode failed",
)


class Fate(Enum):
    """What the person believes of an order."""

    OPEN = auto()
    """Not paid: to be tried again."""
    ASKED = auto()
    """The command was killed: the history has to be read."""
    MAYBE = auto()
    SENT = auto()
    GIVEN_UP = auto()


@dataclass
class Order:
    """One logical payment."""

    address: str
    amount: int
    fate: Fate = Fate.OPEN
    attempts: int = 0


@dataclass
class Node:
    """A node as the wallet sees it."""

    index: int
    gateway: Gateway
    memory: rules.Memory


@dataclass
class Run:
    """One wallet's life."""

    rng: random.Random
    islands: Islands
    nodes: list[Node]
    purse: Purse
    pid_file: Path
    orders: list[Order] = field(default_factory=list)
    printed: set[str] = field(default_factory=set)
    """Ids that the wallet called payments of its own."""
    diary: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    # the world

    def step(self) -> None:
        """One thing happens."""
        [act] = self.rng.choices(
            [self.pay, self.pay_again, self.look, self.mine, self.carry, self.restart, self.forget],
            [6, 4, 3, 3, 4, 1, 1],
        )
        act()

    def some(self) -> Node:
        """Any node."""
        return self.rng.choice(self.nodes)

    def mine(self) -> None:
        """A block, of which some hear at once."""
        node = self.some()
        blocks = self.rng.choice([1, 1, 1, 2])
        self.note(f"node {node.index} mines {blocks}")
        self.islands.mine(node.index, blocks)
        for other in self.nodes:
            if other is not node and self.rng.random() < 0.6:
                self.note(f"node {other.index} has it")
                self.islands.carry_blocks(node.index, other.index)

    def carry(self) -> None:
        """One node hears of another's blocks, payments, or both."""
        source, target = self.rng.sample(self.nodes, 2)
        what = self.rng.choice(["blocks", "payments", "both"])
        self.note(f"{what} from node {source.index} to {target.index}")
        if what != "payments":
            self.islands.carry_blocks(source.index, target.index)
        if what != "blocks":
            self.islands.carry_payments(source.index, target.index)

    def restart(self) -> None:
        """A node is killed, and with it what waited there."""
        node = self.some()
        self.note(f"node {node.index} is killed and started")
        self.islands.restart(node.index)

    def forget(self) -> None:
        """A gateway begins to remember anew: later lags are of this time."""
        node = self.some()
        node.memory.forget()

    # the person

    def pay(self) -> None:
        """A new order."""
        if len(self.orders) >= ORDERS_MAX:
            self.pay_again()
            return
        number = len(self.orders)
        script = p2wpkh_script(sha256(b"%d %s" % (number, self.purse.file.name.encode()))[:20])
        amount = self.rng.choice([COIN // 2, COIN, 3 * COIN, 20 * COIN, 30 * COIN, 49 * COIN]) + number
        self.orders.append(Order(encode_address(script) or "", amount))
        self.attempt(self.orders[-1])

    def pay_again(self) -> None:
        """One that failed before."""
        if asked := [order for order in self.orders if order.fate is Fate.ASKED]:
            self.ask(asked[0])
        elif left := [order for order in self.orders if order.fate is Fate.OPEN]:
            self.attempt(left[0])

    def attempt(self, order: Order) -> None:
        """Run `send` for an order, and believe what it says."""
        if order.attempts >= ATTEMPTS_MAX:
            order.fate = Fate.GIVEN_UP
            return
        order.attempts += 1
        killed = self.rng.random() < 0.05
        hook = {"hook": "tests.gateway.faulty_disk", "hook_options": self.hook_options()} if killed else {}
        with self.weather(kill=killed):
            outcome = self.run("send", order.address, f"{order.amount}sat", "--yes", **hook)
        error = next((line for line in outcome.lines if line.startswith("Error: ")), "")
        if outcome.code == 0:
            order.fate = Fate.SENT
            self.printed.add(outcome.json()["txid"])
        elif outcome.code == -9 and not outcome.late:
            order.fate = Fate.ASKED
        elif MAYBE.search(error):
            order.fate = Fate.MAYBE
            self.printed.update(SUBJECT.findall(error))

    def hook_options(self) -> dict[str, Any]:
        return {"folder": "/nowhere", "log": os.devnull, "pid_file": str(self.pid_file)}

    def ask(self, order: Order) -> None:
        """Whether the history has a payment of it."""
        with self.weather():
            outcome = self.run("history")
        if outcome.code == 0:
            rows = [row for row in outcome.json() if order.address in row["counterparties"]]
            order.fate = Fate.MAYBE if rows else Fate.OPEN

    def look(self) -> None:
        """Any command that sends nothing."""
        with self.weather():
            self.run(*self.rng.choice([("history",), ("balance",), ("coins",), ("address", "--new")]))

    def run(self, *arguments: str, **hook: Any) -> Outcome:
        """A command: whatever the weather, it ends in time and in order."""
        self.purse.nodes = [node.gateway.url for node in self.rng.sample(self.nodes, len(self.nodes))]
        outcome = self.purse.run(*arguments, deadline_s=COMMAND_S, **hook)
        told = re.sub(r"\s+", " ", f"{outcome.out[:OUTPUT_CHARS]} {outcome.err[:OUTPUT_CHARS]}")
        self.note(f"{' '.join(arguments)}: exit {outcome.code}, {outcome.wall_s:.1f} s: {told}")
        errors = [line for line in outcome.lines if not line.startswith("Note: ")]
        if outcome.late or "Traceback" in outcome.err or outcome.code not in (0, 1, -9) or len(errors) > 1:
            self.faults.append(f"ended strangely: {outcome}")
        return outcome

    # the weather

    @contextmanager
    def weather(self, *, kill: bool = False) -> Iterator[None]:
        """What becomes of requests meanwhile."""
        common = self.rng.choice(self.payment_lucks()) if self.rng.random() < 0.3 else None
        for node in self.nodes:
            chosen = self.rules_for(node, common)
            node.gateway.rules = [rule for _, rule in chosen]
            names = ", ".join(name for name, _ in chosen if name != "memory")
            if names:
                self.note(f"node {node.index}: {names}")
            node.gateway.on_payment = (lambda _: self.kill_wallet()) if kill else (lambda _: None)
        try:
            yield
        finally:
            self.clear()

    def clear(self) -> None:
        """Everything passes."""
        for node in self.nodes:
            node.memory.replays = False
            node.gateway.rules = []
            node.gateway.on_payment = lambda _: None

    def kill_wallet(self) -> None:
        """The command dies when its payment has arrived."""
        if self.pid_file.exists():
            pid = int(self.pid_file.read_text())
            self.pid_file.unlink()
            os.kill(pid, 9)

    def rules_for(self, node: Node, common: tuple[str, Rule] | None) -> list[tuple[str, Rule]]:
        """Some bad luck, or none; `common` is what every payment suffers."""
        chosen: list[tuple[str, Rule]] = []
        if common or self.rng.random() < 0.6:
            name, rule = common or self.rng.choice(self.payment_lucks())
            always = 3 if name.endswith(NOT_READY) else 99
            times = always if common else self.rng.choice([1, 1, 2, always])
            chosen.append((f"{times} times {name}", rules.first(times, rules.on_payment(rule))))
        if self.rng.random() < 0.15:
            name, rule = self.rng.choice(QUERY_LUCKS)
            times = self.rng.choice([1, 2])
            limited = rules.after(self.rng.randrange(60), rules.on("/(?!tx$)", rule))
            chosen.append((f"{times} times {name}", rules.first(times, limited)))
        if self.rng.random() < 0.1:
            chosen.append(self.rng.choice(FEE_LUCKS))
        if self.rng.random() < 0.3:
            chosen.append(("hides transactions", rules.on("/tx/", rules.say(404, "Transaction not found"))))
        node.memory.replays = self.rng.random() < 0.1
        if node.memory.replays:
            chosen.append(("lags", node.memory))
        else:
            chosen.append(("memory", node.memory))
        return chosen

    def payment_lucks(self) -> list[tuple[str, Rule]]:
        """What may become of a payment on its way to a node."""
        reason = self.rng.choice(REFUSALS)
        forward = self.rng.random() < 0.5
        then = "taken, " if forward else ""
        return [
            ("answer lost", rules.lose_answer),
            ("request lost", rules.lose_request),
            (f"{then}503", rules.say(503, forward=forward)),
            (f"{then}502", rules.say(502, "<html>bad gateway</html>", forward=forward)),
            (f"{then}500", rules.say(500, "internal error", forward=forward)),
            (f"{then}429", rules.say(429, "slow down", forward=forward)),
            (f"{then}nonsense", rules.say(200, "<html>welcome</html>", forward=forward)),
            (f"{then}nothing said", rules.say(200, "", forward=forward)),
            ("other txid", rules.say_other_txid),
            (f"{then}refused: {reason}", rules.refuse(reason, forward=forward)),
            (f"{then}refused: {reason}", rules.refuse(reason, forward=forward)),
            (f"{then}refused: {reason}", rules.refuse(reason, forward=forward)),
        ]

    def note(self, line: str) -> None:
        self.diary.append(line)

    # the end

    def heal(self) -> None:
        """Everything passes, everybody hears of everything, and the wallet looks."""
        self.clear()
        self.islands.unite()
        for _ in range(HEALING_ROUNDS):
            self.run("history")
            self.islands.unite()
            self.islands.mine(self.nodes[0].index)
            self.islands.unite()
        self.islands.mine(self.nodes[0].index, BURIAL)
        self.islands.unite()
        self.run("balance")

    def check(self) -> None:
        """The invariants."""
        index = self.nodes[0].index
        spent = 0
        for order in self.orders:
            txs = self.islands.cluster.get_json(index, f"/api/address/{order.address}/txs")
            confirmed = [tx for tx in txs if tx["status"]["confirmed"]]
            spent += sum(tx["fee"] + self.paid(tx, order) for tx in confirmed)
            if len(confirmed) > 1:
                self.faults.append(f"paid {len(confirmed)} times: {order}")
            if order.fate is Fate.SENT and len(confirmed) != 1:
                self.faults.append(f"printed a txid and was not paid: {order}")
            for tx in confirmed:
                if tx["fee"] > fee_ceiling(order.amount, tx["weight"] / 4):
                    self.faults.append(f"a fee of {tx['fee']}: {order}")
        outcome = self.run("history")
        shown = {row["txid"] for row in outcome.json()} if outcome.code == 0 else set()
        handed = {payment.txid for node in self.nodes for payment in node.gateway.payments}
        if missing := (self.printed | handed) - shown:
            self.faults.append(f"not in the history: {sorted(missing)}")
        outcome = self.run("balance")
        expected = COINS * 50 * COIN - spent
        if outcome.code != 0 or outcome.json()["confirmed_sat"] != expected:
            self.faults.append(f"the balance is not {expected}: {outcome}")

    def paid(self, tx: Any, order: Order) -> int:
        """What an order's recipient got."""
        return sum(out["value"] for out in tx["vout"] if out.get("scriptpubkey_address") == order.address)


QUERY_LUCKS: list[tuple[str, Rule]] = [
    ("query lost", rules.lose_request),
    ("query 503", rules.say(503)),
    ("query 502", rules.say(502, "<html>bad gateway</html>")),
    ("query 500", rules.say(500, "internal error")),
    ("query 429", rules.say(429, "slow down")),
    ("query answered with nonsense", rules.say(200, "<html>welcome</html>")),
    ("query answered with nothing", rules.say(200, "")),
]
FEE_LUCKS: list[tuple[str, Rule]] = [
    ("estimates of 99", rules.on("/fee-estimates", rules.say(200, '{"1": 99, "6": 99}'))),
    ("estimates of 700", rules.on("/fee-estimates", rules.say(200, '{"1": 700, "6": 700}'))),
    ("estimates of 9,900", rules.on("/fee-estimates", rules.say(200, '{"6": 9900}'))),
    ("a minimum of 50", rules.on("/v1/fees", rules.say(200, '{"minimumFee": 50}'))),
]


# many of them


def play(run: Run) -> None:
    """From the first order to the last check."""
    try:
        for _ in range(STEPS):
            run.step()
    finally:
        run.clear()
    run.heal()
    run.check()


@contextmanager
def batch(folder: Path, commands: Commands, seeds: Sequence[str]) -> Iterator[Callable[[int], Run]]:
    """Nodes for so many runs, each with a wallet that has coins. Gives the run of each number."""
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        islands = make_islands(folder / "nodes", 3)
        stack.callback(islands.cluster.close)
        gateways = [stack.enter_context(Gateway(node.api)) for node in islands.cluster.nodes]
        purses = [Purse(commands, folder / f"{seed}.json", gateways[0].url).create() for seed in seeds]
        for purse in purses:
            islands.mine(0, COINS, purse.address())
        islands.mine(0, MATURITY)
        islands.unite()

        def run(number: int) -> Run:
            rng = random.Random(seeds[number])
            indexes = sorted(rng.sample(range(3), rng.choice([2, 3])))
            # Those that take no part have missed the runs before this one.
            islands.unite()
            for gateway in gateways:
                gateway.payments.clear()
            nodes = [Node(index, gateways[index], rules.Memory()) for index in indexes]
            return Run(rng, Islands(islands.cluster, indexes), nodes, purses[number], folder / "pid")

        yield run


def campaign(folder: Path, runs: Sequence[int], seed: int, *, show: bool = False) -> list[str]:
    """These runs of a seed; what was wrong."""
    failures: list[str] = []
    with Commands() as commands:
        for first in range(0, len(runs), BATCH):
            numbers = runs[first : first + BATCH]
            with batch(folder / str(first), commands, [f"{seed}-{number}" for number in numbers]) as run_of:
                for place, number in enumerate(numbers):
                    run = run_of(place)
                    play(run)
                    found = [f"seed {seed}, run {number}: {fault}" for fault in run.faults]
                    failures += found
                    if show:
                        diary = [*found, *run.diary] if found else []
                        print(f"run {number}: {summary(run)}", *diary, sep="\n  ", flush=True)
    return failures


def summary(run: Run) -> str:
    """A run in a line."""
    fates = [order.fate.name.lower() for order in run.orders]
    told = ", ".join(f"{fates.count(fate)} {fate}" for fate in dict.fromkeys(fates))
    handed = {payment.txid for node in run.nodes for payment in node.gateway.payments}
    return f"{len(run.nodes)} nodes, {len(run.orders)} orders: {told}; {len(handed)} transactions signed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    parser.add_argument("--only", type=int, action="append", help="Just the run of this number; may be repeated.")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="groat-schedules-") as folder:
        failures = campaign(Path(folder), given.only or range(given.runs), given.seed, show=True)
    runs = len(given.only or range(given.runs))
    print(f"seed {given.seed}: {runs} runs, {len(failures)} failures", *failures, sep="\n")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
