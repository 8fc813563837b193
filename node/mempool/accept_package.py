"""A package's way into the mempool: signatures verified elsewhere first, then everything at one moment.

In Bitcoin Core's steps: each transaction by itself; then those together that were refused for their
fee or for want of a parent, as long as nobody was refused for anything else. What has entered stays,
whatever becomes of the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chain.check import check_tx
from chain.coins import CoinLookup
from chain.connect import BlockContext
from chain.errors import Invalid, Reject, Rejected
from chain.frozen import value
from chain.hashes import Txid, Wtxid
from chain.keys import Check
from chain.tx import Tx
from node.interface.effects import Verify
from node.mempool.accept import AcceptResult, MempoolAccept, Offer
from node.mempool.change import MempoolChange
from node.mempool.mempool import Mempool
from node.mempool.package_prechecks import MemberRefused, PackageRefused, PackageRule, check_package
from node.mempool.policy import Policy, Refused, check_max_fee
from node.mempool.prechecks import Staged, wrong_signature

OUT_MAX = 100
"""Packages whose signatures are out at once; beyond, new ones are refused for now."""
_FOR_THE_PACKAGE = frozenset(
    {
        Reject.INPUTS_MISSING_OR_SPENT,
        Policy.MIN_RELAY_FEE,
        Policy.MEMPOOL_MIN_FEE,
        Policy.MEMPOOL_FULL,
        Policy.INSUFFICIENT_FEE,
    }
)
"""Refusals that a relative in the package can heal."""


@value
class Member:
    """The verdict on one transaction of a package."""

    tx: Tx
    error: Rejected | None = None
    fee: int = 0
    """Satoshis."""
    vsize: int = 0
    """Virtual bytes."""
    other: Wtxid | None = None
    """The witness txid of the one that is here already, with other witnesses."""
    together: tuple[int, int, tuple[Wtxid, ...]] | None = None
    """Satoshis and virtual bytes that it was judged by, and whose they are; None: it was here already."""


@dataclass(slots=True)
class Outcome:
    """The verdict on a package."""

    members: dict[Wtxid, Member] = field(default_factory=dict)
    """Verdicts by transaction; one that is missing was not looked at."""
    error: PackageRefused | None = None
    """The reason that the package as a whole is refused."""
    failed: bool = False
    """Some are refused."""
    verdicts: list[AcceptResult] = field(default_factory=list)
    """Verdicts of the pool so far."""
    trimmed: MempoolChange | None = None
    """The change that made room in the end, if the pool was full."""
    out: list[Verify] = field(default_factory=list)
    """Signatures of those that were here when the package came and left for another of it: they are to be
    verified, and whoever has right ones enters by itself."""


class PackageAccept:
    """Brings packages into the pool, or says what would become of them."""

    def __init__(
        self,
        mempool: Mempool,
        admission: MempoolAccept,
        lookup: CoinLookup,
        context: Callable[[], BlockContext],
        next_token: Callable[[], int],
    ) -> None:
        """`lookup` and `context` are those of the tip."""
        self._mempool = mempool
        self._admission = admission
        self._lookup = lookup
        self._context = context
        self._next_token = next_token
        self._out: dict[int, list[tuple[Tx, tuple[Check, ...]]]] = {}

    def verify(self, txs: Sequence[Tx]) -> Verify | None:
        """The signatures of a package that are not judged yet; None if all are. Raises Refused(BUSY)."""
        every = self._mempool.package_checks(txs, self._lookup, self._context())
        unknown = [
            (tx, checks)
            for tx, checks in zip(txs, every, strict=True)
            if checks and tx.txid not in self._mempool and not self._is_judged(tx.wtxid)
        ]
        if not unknown:
            return None
        if len(self._out) >= OUT_MAX:
            raise Refused(Policy.BUSY)
        token = self._next_token()
        self._out[token] = unknown
        return Verify(token, [check for _, checks in unknown for check in checks])

    def _is_judged(self, wtxid: Wtxid) -> bool:
        return self._admission.is_verified(wtxid) or self._admission.failure(wtxid) is not None

    def owns(self, token: int) -> bool:
        """True if a Verify of this token was sent out from here."""
        return token in self._out

    def settle(self, token: int, failure: int | None) -> None:
        """Remember the verdict on signatures; behind a wrong one nothing is known, and asked for again."""
        seen = 0
        for tx, checks in self._out.pop(token):
            start, seen = seen, seen + len(checks)
            if failure is not None and failure < seen:
                self._admission.condemn(tx.wtxid, wrong_signature(failure - start))
                return
            self._admission.verified(tx.wtxid)

    def take(self, txs: Sequence[Tx], now: float, max_rate_sat_kvb: float | None) -> Outcome:
        """Let in what may enter of a package whose signatures are judged: a child, the last, with parents."""
        outcome = Outcome()
        try:
            check_package(txs)
            self._check_parents_are_here(txs)
        except PackageRefused as error:
            outcome.error = error
            return outcome
        refused = [(tx, refusal) for tx in txs if (refusal := self._take_one(tx, now, max_rate_sat_kvb, outcome))]
        outcome.failed = bool(refused)
        if refused and len(txs) > 1 and all(refusal.code in _FOR_THE_PACKAGE for _, refusal in refused):
            self._take_together([tx for tx, _ in refused], now, max_rate_sat_kvb, outcome)
        self._look_who_has_left(now, outcome)
        return outcome

    def try_each(self, txs: Sequence[Tx], now: float) -> Outcome:
        """Try transactions that enter one after the other, without replacing any; up
        to the first that would be refused. Changes nothing."""
        outcome = Outcome()
        try:
            check_package(txs)
            staged = self._mempool.stage_package(txs, self._lookup, self._context(), now, together=False)
        except PackageRefused as error:
            outcome.error = error
            return outcome
        if isinstance(staged, MemberRefused):
            outcome.members[staged.tx.wtxid] = Member(staged.tx, staged.error)
            return outcome
        for one in staged:
            wtxid = one.tx.wtxid
            wrong = self._signature_error(one)
            if wrong is not None:
                outcome.members[wtxid] = Member(one.tx, wrong)
                break
            alone = (one.fee, one.vsize, (wtxid,))
            outcome.members[wtxid] = Member(one.tx, None, one.fee, one.vsize, None, alone)
        return outcome

    def _check_parents_are_here(self, txs: Sequence[Tx]) -> None:
        """Check that the child's inputs are confirmed or made in the package. Raises PackageRefused."""
        if len(txs) == 1:
            return
        names = {tx.txid for tx in txs}
        for spent in txs[-1].inputs:
            parent = Txid(spent.outpoint[:32])
            if parent not in names and parent in self._mempool:
                raise PackageRefused(PackageRule.PARENTS_LEFT_OUT)

    def _take_one(self, tx: Tx, now: float, max_rate_sat_kvb: float | None, outcome: Outcome) -> Rejected | None:
        """Let one in by itself; why it is refused, if it is."""
        here = self._mempool.get(tx.txid)
        if here is not None:
            other = here.tx.wtxid if here.tx.wtxid != tx.wtxid else None
            outcome.members[tx.wtxid] = Member(tx, None, here.fee, here.vsize, other)
            return None
        try:
            check_tx(tx)
        except Invalid as error:
            outcome.members[tx.wtxid] = Member(tx, error)
            return error
        [verdict], verify = self._admission.offer([Offer(tx, None, True, max_rate_sat_kvb)], now)
        if verify is not None:
            outcome.out.append(verify)
        outcome.verdicts.append(verdict)
        if verdict.added is None:
            refusal = verdict.error or Refused(Policy.BUSY)
            outcome.members[tx.wtxid] = Member(tx, refusal)
            return refusal
        entry = verdict.added.entry
        alone = (entry.fee, entry.vsize, (tx.wtxid,))
        outcome.members[tx.wtxid] = Member(tx, None, entry.fee, entry.vsize, None, alone)
        return None

    def _take_together(self, txs: Sequence[Tx], now: float, max_rate_sat_kvb: float | None, outcome: Outcome) -> None:
        """Let those in that were refused one by one, if together they pay enough."""
        try:
            staged = self._mempool.stage_package(txs, self._lookup, self._context(), now, together=True)
        except PackageRefused as error:
            outcome.error = error
            return
        refused = staged if isinstance(staged, MemberRefused) else self._first_refused(staged, max_rate_sat_kvb)
        if refused is not None:
            outcome.members[refused.tx.wtxid] = Member(refused.tx, refused.error)
            return
        assert not isinstance(staged, MemberRefused)
        names = tuple(one.tx.wtxid for one in staged)
        together = (sum(one.fee for one in staged), sum(one.vsize for one in staged), names)
        for one in staged:
            offer = Offer(one.tx, None, True, max_rate_sat_kvb)
            outcome.verdicts.append(AcceptResult(offer, one, self._mempool.add(one, now)))
            outcome.members[one.tx.wtxid] = Member(one.tx, None, one.fee, one.vsize, None, together)
        outcome.failed = False

    def _first_refused(self, staged: Sequence[Staged], max_rate_sat_kvb: float | None) -> MemberRefused | None:
        for one in staged:
            wrong = self._signature_error(one)
            if wrong is not None:
                return MemberRefused(one.tx, wrong)
            try:
                check_max_fee(one.fee, one.vsize, max_rate_sat_kvb)
            except Refused as error:
                return MemberRefused(one.tx, error)
        return None

    def _signature_error(self, staged: Staged) -> Rejected | None:
        """The error in its signatures; None if they are right."""
        if self._admission.is_verified(staged.tx.wtxid):
            return None
        try:
            staged.checks()
        except Invalid as error:
            return error
        return self._admission.failure(staged.tx.wtxid) or Refused(Policy.BUSY)

    def _look_who_has_left(self, now: float, outcome: Outcome) -> None:
        """Make room, if the package has filled the pool; who had to go again is told so."""
        outcome.trimmed = self._mempool.trim(now)
        for wtxid, member in outcome.members.items():
            if member.error is None and member.tx.txid not in self._mempool:
                outcome.members[wtxid] = Member(member.tx, Refused(Policy.MEMPOOL_FULL))
                outcome.failed = True
