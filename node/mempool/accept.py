"""A transaction's way into the mempool: staged, signatures verified elsewhere, staged again, added.

Staging is cheap and changes nothing, so no place is held while the signatures are out: when the
verdict comes back the pool and the tip may have moved, and the second staging says so.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from chain.coins import CoinLookup
from chain.connect import BlockContext
from chain.errors import Rejected
from chain.frozen import value
from chain.hashes import Wtxid
from chain.keys import Check
from chain.tx import Tx
from node.interface.bounded import BoundedSet
from node.interface.effects import Verify
from node.interface.endpoint import PeerId
from node.mempool.change import MempoolChange
from node.mempool.mempool import Mempool
from node.mempool.policy import Policy, Refused, check_max_fee
from node.mempool.prechecks import Staged, wrong_signature

VERIFIED_MAX = 200_000
"""Witness txids remembered as verified, about 20 MB; beyond, the oldest is verified again."""
GUILTY_MAX = 10_000
"""Witness txids remembered as wrongly signed; beyond, the oldest is verified again."""
OUT_MAX = 5_000
"""Transactions whose signatures are out at once; beyond, new ones are refused for now."""


class VerifiedCache(BoundedSet[Wtxid]):
    """Witness txids whose signatures are right: a block that holds them needs no curve for them."""

    def __init__(self, most: int = VERIFIED_MAX) -> None:
        super().__init__(most)


@value
class Offer:
    """A transaction that somebody wants in the pool."""

    tx: Tx
    source: PeerId | None = None
    """The peer that sent it; None for our own callers."""
    add: bool = True
    """False: only say what would become of it."""
    max_rate_sat_kvb: float | None = None
    """Refuse it above this fee rate; None or 0: never."""
    time: float | None = None
    """Time of its first entry, if that was earlier (a pool that was saved)."""

    @property
    def was_here(self) -> bool:
        """True if it comes out of a pool that was saved."""
        return self.time is not None


@value
class AcceptResult:
    """The verdict on an offer. Without `added` and `error` its signatures are out."""

    offer: Offer
    staged: Staged | None = None
    """The transaction as the pool has staged it."""
    added: MempoolChange | None = None
    """The change that its entry made to the pool."""
    error: Rejected | None = None


@value
class _Out:
    """An offer whose signatures are out."""

    offer: Offer
    staged: Staged
    """The staging that the signatures are of."""
    checks: tuple[Check, ...]


class MempoolAccept:
    """Brings transactions into the pool. `lookup` and `context` are those of the tip."""

    def __init__(
        self,
        mempool: Mempool,
        verified: VerifiedCache,
        lookup: CoinLookup,
        context: Callable[[], BlockContext],
        next_token: Callable[[], int],
    ) -> None:
        self._mempool = mempool
        self._verified = verified
        self._lookup = lookup
        self._context = context
        self._next_token = next_token
        self._batches: dict[int, tuple[_Out, ...]] = {}
        self._out: dict[Wtxid, int] = {}
        """Witness txid -> token of the batch that it is out with."""
        self._guilty: OrderedDict[Wtxid, Rejected] = OrderedDict()

    def offer(self, offers: Sequence[Offer], now: float) -> tuple[list[AcceptResult], Verify | None]:
        """Take in what is ready and send out the signatures of the rest."""
        verdicts: list[AcceptResult] = []
        out: list[_Out] = []
        context = self._context()
        for offer in offers:
            try:
                verdict = self._try(offer, context, now)
                if verdict.staged and not verdict.added and offer.tx.wtxid not in self._verified:
                    out += self._prepare(offer, verdict.staged)
            except Rejected as error:
                verdict = AcceptResult(offer, error=error)
            verdicts.append(verdict)
        return verdicts, self._send_out(out)

    def is_verified(self, wtxid: Wtxid) -> bool:
        """True if its signatures are known to be right."""
        return wtxid in self._verified

    def failure(self, wtxid: Wtxid) -> Rejected | None:
        """The error in its signatures, if it is known that they are wrong."""
        return self._guilty.get(wtxid)

    def verified(self, wtxid: Wtxid) -> None:
        """Note that a transaction's signatures are right."""
        self._verified.add(wtxid)

    def owns(self, token: int) -> bool:
        """True if a Verify of this token was sent out from here."""
        return token in self._batches

    def settle(self, token: int, failure: int | None, now: float) -> tuple[list[AcceptResult], Verify | None]:
        """The verdict on signatures: what it means for each offer, and a Verify for those that
        the verifier did not get to behind a wrong one."""
        batch = self._batches.pop(token)
        for out in batch:
            self._out.pop(out.offer.tx.wtxid, None)
        verdicts: list[AcceptResult] = []
        context = self._context()
        seen = 0
        for position, out in enumerate(batch):
            start, seen = seen, seen + len(out.checks)
            if failure is not None and failure < seen:
                error = wrong_signature(failure - start)
                self.condemn(out.offer.tx.wtxid, error)
                verdicts.append(AcceptResult(out.offer, error=error))
                return verdicts, self._send_out(list(batch[position + 1 :]))
            self._verified.add(out.offer.tx.wtxid)
            try:
                staged = self._mempool.restage(out.staged, self._lookup, context, now, was_here=out.offer.was_here)
                verdicts.append(self._take(out.offer, staged, now))
            except Rejected as rejected:
                verdicts.append(AcceptResult(out.offer, error=rejected))
        return verdicts, None

    def _try(self, offer: Offer, context: BlockContext, now: float) -> AcceptResult:
        """Stage the offer, and add it if its signatures are known to be right. Raises Rejected."""
        if (guilty := self._guilty.get(offer.tx.wtxid)) is not None:
            raise guilty
        staged = self._mempool.stage(offer.tx, self._lookup, context, now, was_here=offer.was_here)
        check_max_fee(staged.fee, staged.vsize, offer.max_rate_sat_kvb)
        if offer.tx.wtxid not in self._verified:
            return AcceptResult(offer, staged)
        return self._take(offer, staged, now)

    def _take(self, offer: Offer, staged: Staged, now: float) -> AcceptResult:
        """Add what was staged just now and is signed rightly, if that is what was asked for."""
        return AcceptResult(offer, staged, self._mempool.add(staged, now, offer.time) if offer.add else None)

    def _prepare(self, offer: Offer, staged: Staged) -> list[_Out]:
        """The signatures to send out for it: none if they are out already. Raises Rejected."""
        token = self._out.get(offer.tx.wtxid)
        if token is not None:
            if offer.add:  # whoever asked first may only have wanted to know
                self._batches[token] = tuple(
                    _Out(offer, out.staged, out.checks)
                    if out.offer.tx.wtxid == offer.tx.wtxid and not out.offer.add
                    else out
                    for out in self._batches[token]
                )
            return []
        if len(self._out) >= OUT_MAX:
            raise Refused(Policy.BUSY)
        return [_Out(offer, staged, staged.checks())]

    def _send_out(self, out: list[_Out]) -> Verify | None:
        if not out:
            return None
        token = self._next_token()
        self._batches[token] = tuple(out)
        self._out.update((one.offer.tx.wtxid, token) for one in out)
        return Verify(token, [check for one in out for check in one.checks])

    def condemn(self, wtxid: Wtxid, error: Rejected) -> None:
        """Note that a transaction's signatures are wrong."""
        self._guilty[wtxid] = error
        if len(self._guilty) > GUILTY_MAX:
            self._guilty.popitem(last=False)
