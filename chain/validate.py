"""The rule as one recipe: every step that makes a header or a block valid, in order, and why it is there.

    1  proof of work     the header's hash meets the target that the header claims
    2  header            it may stand on its parent: bits, time, version
    3  body              these transactions are the ones that the header stands for
    4  block             its transactions by themselves: sizes, amounts, signature operations
    5  place             height, lock times, weight; coins that exist, are mature, and suffice
    6  signatures        whoever owned the coins has agreed

A failure in step 3 is about that body only: another one may come for the same header. Any other
Invalid is about the block, and about all that stands on it.

The node does the same work in pieces, so that none of it waits for another and nothing is done twice:
`Chainstate` takes in headers before bodies, connects over coins that are still being verified, and has
the signatures verified elsewhere. A test holds it equal to these functions.
"""

from collections.abc import Callable, Container, Sequence

from chain.block import Block, Header
from chain.blocktree import BlockNode
from chain.check import check_block, check_body
from chain.coins import CoinLookup
from chain.connect import Connected, connect_block, connect_header, context_after
from chain.errors import Invalid, Reject
from chain.hashes import Wtxid
from chain.headerfacts import HeaderFacts
from chain.keys import Check
from chain.params import Params
from chain.pow import check_pow

FirstFailure = Callable[[Sequence[Check]], int | None]
"""Verifies signatures: the index of the first wrong one, or None. An engine's, or a pool of processes'."""


def validate_header(header: Header, parent: HeaderFacts | None, now: int, params: Params) -> None:
    """Steps 1 and 2: the header is valid on top of `parent`. `now` is Unix time in seconds.

    `parent` is None where the header that it names is not known. Raises Invalid and Unready.
    """
    # 1. Proof of work (Bitcoin's paper, section 4). First, because it alone cannot be had for nothing:
    #    whatever passes has cost its maker some hashes. Whether the target is the right one is step 2.
    check_pow(header, params)
    # 2. The header after its ancestors. The parent is known and valid; bits are those that the difficulty
    #    rule demands (aserti3-2d); the time is above the median of the eleven blocks before, so that no
    #    miner alone can turn the clock back (Bitcoin 0.1; BIP 113 relies on it); version 4 at least
    #    (BIP 34, 66 and 65, in force from the start). Last the time may not be far ahead: that passes.
    connect_header(header, parent, now, params)


def validate_block(
    block: Block,
    parent: BlockNode | None,
    coins: CoinLookup,
    now: int,
    params: Params,
    first_failure: FirstFailure,
    known: Container[Wtxid] = frozenset(),
) -> Connected:
    """Steps 1 to 6: the block is valid on top of `parent`. Returns its changes to the coins.

    `coins` sees the coins as they are after `parent`, `now` is Unix time in seconds. `known` are witness
    txids of transactions that have passed `check_tx`, and whose signatures have been verified, before.
    Decoding is no step here: a `Block` has been canonical bytes (BIP 144). Raises Invalid and Unready.
    """
    check_pow(block.header, params)  # step 1, as in `validate_header`
    return validate_candidate(block, parent, coins, now, params, first_failure, known)


def validate_candidate(
    block: Block,
    parent: BlockNode | None,
    coins: CoinLookup,
    now: int,
    params: Params,
    first_failure: FirstFailure,
    known: Container[Wtxid] = frozenset(),
) -> Connected:
    """Steps 2 to 6, of a block that nobody has mined yet (BIP 23's proposals, Core's TestBlockValidity).

    Arguments, answer and errors are those of `validate_block`.
    """
    # 2. The header after its ancestors, as in `validate_header`; before the body, because it costs least.
    connect_header(block.header, parent, now, params)
    assert parent is not None, "connect_header has refused it"
    # 3. The body is the header's own. The merkle root commits to it, but not if the tree repeats a pair
    #    (CVE-2012-2459), nor if a transaction could be read as an inner node, which has 64 bytes
    #    (CVE-2017-12842, BIP 54). The first transaction is a coinbase, and its commitment covers the
    #    witnesses, which the merkle root leaves out (BIP 141).
    check_body(block)
    # 4. What can be said without the chain. Stripped size (BIP 141); one coinbase only; of each transaction
    #    amounts that do not overflow (CVE-2010-5139) and no coin twice (CVE-2018-17144), both of which minted
    #    coins; signature operations, each of which costs whoever verifies (legacy ones: Bitcoin 0.3).
    check_block(block, known)
    # 5. The block in its place. Absolute lock times are over, by median time past (BIP 113); the coinbase
    #    names its height, so that no two have one txid (BIP 34, in place of BIP 30); weight (BIP 141). Then
    #    of each transaction, in order: its coins exist and are unspent, coinbases among them are mature,
    #    outputs do not exceed inputs, relative locks are over (BIP 68). Signature operations once more,
    #    with those of witnesses (BIP 141). The coinbase claims no more than subsidy and fees.
    connected = connect_block(block, context_after(parent), coins, params, known)
    # 6. The signatures that open the coins (BIP 66, 143, 340, 341). Last, because they cost most.
    if first_failure(connected.checks) is not None:
        raise Invalid(Reject.SCRIPT_VERIFY, "wrong signature")
    return connected
