"""Can an attacker with many addresses in few network groups get all our outbound peers?

    python -m tests.sim.eclipse --runs 10000
    python -m tests.sim.eclipse --runs 1000 --without groups

Each run is one node's life with its real address book and dialler, in virtual time: it finds its
first peers among honest nodes; then the attacker, with ten times as many addresses, all of them
up and nearer than anybody, has some of them greet us, so that we dial them back and ask them for
addresses; all ask and are asked for hours, honest nodes leave; then the node restarts with the
book that it saved, and fills its places. The attacker has won if it holds all of them.

`--without` takes a guard away: `groups` (every endpoint is a group of its own), `buckets` (places
follow from the endpoint alone), `choice` (any endpoint is chosen alike, whatever its group),
`distance` (several peers of one group), `anchors`.
"""

import argparse
import contextlib
import os
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from unittest import mock

from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import ADDRESSES_MAX
from node.p2p.addrman.addrman import AddrMan
from node.p2p.addrman.addrman_buckets import NEW_BUCKETS, TRIED_BUCKETS, AddrInfo, Placing, Table
from node.p2p.addrman.net_address import network_group
from node.p2p.connections.outbound import BLOCKS_ONLY_MAX, OUTBOUND_MAX, ConnectionType, OutboundConnections, Target

HONEST = 100
"""Honest nodes that listen."""
HONEST_GROUPS = 100
"""Network groups that they are spread over."""
ATTACKERS = 10 * HONEST
ATTACKER_GROUPS = 16
GREETERS = 32
"""Attackers that greet us, so that their word comes from each of their groups."""
FIRST = 4
"""Honest nodes that the node is told of at first."""
HOURS = 2
"""Of the attack."""
TICK_S = 30.0
LEAVING = 0.5
"""Share of the honest nodes that go away for good during the attack."""
NEAR_S, FAR_S = 0.002, 0.1
"""Round-trip times of the attacker and of honest nodes."""
BAR = 0.001
"""The attacker may win so many runs at most."""
SETTLED_TICKS = 30
"""After a restart; then the places are full."""
GUARDS = ("groups", "buckets", "choice", "distance", "anchors")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run ended."""

    places: int
    """Taken, of all."""
    attackers: int
    """Of these, the attacker's."""
    full: bool
    """Every place was taken."""

    @property
    def eclipsed(self) -> bool:
        """The attacker has every place."""
        return self.places > 0 and self.attackers == self.places


class World:
    """Everybody's addresses, and who answers."""

    def __init__(self) -> None:
        rng = random.Random(0)  # the same addresses in every run: what differs is each node's secret and luck
        groups = rng.sample([(a, b) for a in range(20, 100) for b in range(256)], HONEST_GROUPS + ATTACKER_GROUPS)
        self.honest = _addresses(rng, groups[:HONEST_GROUPS], HONEST)
        self.attackers = _addresses(rng, groups[HONEST_GROUPS:], ATTACKERS)
        self.everybody = [*self.honest, *self.attackers]
        self.evil = frozenset(self.attackers)
        self.up = set(self.honest) | self.evil


def _addresses(rng: random.Random, groups: list[tuple[int, int]], number: int) -> list[Endpoint]:
    """So many in these groups, in every group one at least."""
    chosen = [*groups, *(rng.choice(groups) for _ in range(number - len(groups)))]
    return [Endpoint(f"{a}.{b}.{index >> 8}.{index & 255}", 18444) for index, (a, b) in enumerate(chosen)]


class Victim:
    """The node: its book, its dialler, and what its sessions would do with them."""

    def __init__(self, rng: random.Random, world: World, now: float, saved: bytes | None = None) -> None:
        self._rng = rng
        self._world = world
        self.now = now
        self.book = AddrMan(rng, allow_local=False)
        if saved is not None:
            self.book.load(saved)
        self._dialler = OutboundConnections(rng, self.book)

    def tick(self) -> None:
        """Greet who is due; ask who answers for addresses."""
        self.now += TICK_S
        for target in self._dialler.due(self.now, ()):
            self._greet(target)

    def _greet(self, target: Target) -> None:
        endpoint, world = target.endpoint, self._world
        if endpoint not in world.up:
            self._dialler.failed(target, "does not answer", self.now)
            return
        round_trip_s = NEAR_S if endpoint in world.evil else FAR_S
        if target.kind is ConnectionType.FEELER:
            self._dialler.felt(target, self.now, round_trip_s)
            return
        peer = _id(endpoint)
        if replaced := self._dialler.linked(target, peer, self.now, round_trip_s):
            self._dialler.lost(replaced, self.now)
        self.ask(endpoint)

    def ask(self, endpoint: Endpoint) -> None:
        """What a peer tells: the attacker of its own only; an honest one of all, as it has heard
        of ten times as many attackers too."""
        world = self._world
        known = world.attackers if endpoint in world.evil else world.everybody
        told = self._rng.sample(known, min(ADDRESSES_MAX, len(known) * 23 // 100))
        self.book.add(told, endpoint, self.now)

    def greeted_by(self, endpoint: Endpoint) -> None:
        """Somebody greets us: we dial back, and ask."""
        self.book.proved(endpoint, self.now, NEAR_S, chosen=False)
        self.ask(endpoint)

    def ask_somebody(self) -> None:
        """One of our peers tells more."""
        linked = [target.endpoint for target in self._dialler.targets() if target.linked]
        if linked:
            self.ask(self._rng.choice(linked))

    def leave(self, endpoint: Endpoint) -> None:
        """A node has gone."""
        self._dialler.lost(_id(endpoint), self.now)

    def outcome(self) -> Outcome:
        """Who has our places now."""
        linked = [t.endpoint for t in self._dialler.targets() if t.linked and t.kind is ConnectionType.LEARNED]
        full = len(linked) >= OUTBOUND_MAX + BLOCKS_ONLY_MAX
        return Outcome(len(linked), sum(endpoint in self._world.evil for endpoint in linked), full)


def _id(endpoint: Endpoint) -> PeerId:
    return PeerId(str(endpoint).encode())


def one_run(seed: int, without: str | None = None) -> Outcome:
    """One node's life."""
    rng = random.Random(seed)
    with removed(without):
        world = World()
        victim = Victim(rng, world, 1e9)
        # Quiet times: peers are found among the honest.
        victim.book.add(rng.sample(world.honest, FIRST), None, victim.now)
        for endpoint in rng.sample(world.honest, FIRST):
            victim.ask(endpoint)
        for _ in range(SETTLED_TICKS):
            victim.tick()
        # The attack.
        greeters = rng.sample(world.attackers, GREETERS)
        leaving = rng.sample(world.honest, int(LEAVING * HONEST))
        ticks = int(HOURS * 3_600 / TICK_S)
        for number in range(ticks):
            if greeters and number % 2 == 0:
                victim.greeted_by(greeters.pop())
            if number % 10 == 0:
                victim.ask_somebody()
            if leaving and number % (ticks // len(leaving) + 1) == 0:
                gone = leaving.pop()
                world.up.discard(gone)
                victim.leave(gone)
            victim.tick()
        # The restart.
        saved = victim.book.dump()
        again = Victim(rng, world, victim.now + 60, saved)
        if without == "anchors":
            again.book.anchors = ()
        for _ in range(SETTLED_TICKS):
            again.tick()
        return again.outcome()


@contextlib.contextmanager
def removed(guard: str | None) -> Iterator[None]:
    """The code without one of its guards."""
    assert guard in (None, *GUARDS)
    with contextlib.ExitStack() as stack:

        def patch(where: object, name: str, replacement: object) -> None:
            stack.enter_context(mock.patch.object(where, name, replacement))

        if guard == "groups":
            patch(sys.modules[network_group.__module__], "IPV4_GROUP_SIZE", 4)
            network_group.cache_clear()
            stack.callback(network_group.cache_clear)
        if guard == "buckets":
            patch(Placing, "among_new", _new_by_endpoint)
            patch(Placing, "among_tried", _tried_by_endpoint)
        if guard == "choice":
            patch(AddrMan, "_pick", _pick_any)
        if guard == "distance":
            patch(OutboundConnections, "_groups", lambda dialler: set())
        yield


def _new_by_endpoint(placing: Placing, entry: AddrInfo, source: bytes) -> int:
    return placing.in_new_bucket(entry, placing._hash(b"any", entry.key, source) % NEW_BUCKETS)


def _tried_by_endpoint(placing: Placing, entry: AddrInfo) -> int:
    return placing._hash(b"any", entry.key) % (TRIED_BUCKETS * 64)


def _pick_any(book: AddrMan, table: Table, exclude: set[Endpoint], groups: set[bytes], now: float) -> Endpoint | None:
    ready = [
        entry.endpoint
        for entry in table.entries()
        if entry.rest_until <= now and entry.endpoint not in exclude and entry.group not in groups
    ]
    return book._rng.choice(ready) if ready else None


def trial(runs: int, without: str | None = None, first_seed: int = 0) -> list[Outcome]:
    """So many runs, on all processors."""
    seeds = range(first_seed, first_seed + runs)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(partial(one_run, without=without), seeds, chunksize=10))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--without", choices=GUARDS, help="take a guard away")
    options = parser.parse_args()
    outcomes = trial(options.runs, options.without, options.seed)
    won = sum(outcome.eclipsed for outcome in outcomes)
    share = sum(outcome.attackers for outcome in outcomes) / max(1, sum(outcome.places for outcome in outcomes))
    print(
        f"{HONEST} honest nodes in {HONEST_GROUPS} network groups, {ATTACKERS} attackers in {ATTACKER_GROUPS}; "
        f"{f'without {options.without}' if options.without else 'all guards'}\n"
        f"runs {options.runs}, all outbound peers the attacker's: {won} ({won / options.runs:.3%}, bar {BAR:.1%})\n"
        f"attacker's share of outbound peers {share:.1%}, places full in "
        f"{sum(outcome.full for outcome in outcomes) / options.runs:.1%} of the runs"
    )
    return 0 if options.without or won <= BAR * options.runs else 1


if __name__ == "__main__":
    sys.exit(main())
