"""Contextual checks: a header after its ancestors, a block with its coins and height."""

from collections.abc import Callable, Container, Sequence

from chain.block import Block, Header
from chain.blocktree import BlockNode
from chain.check import MAX_SIGOPS_COST, MAX_WEIGHT, legacy_sigops_cost
from chain.coins import COIN_SCRIPT, COINBASE_BIT, Coin, CoinLookup, CoinsDelta, add_outputs
from chain.errors import Invalid, Reject, Unready
from chain.frozen import value
from chain.hashes import Wtxid
from chain.headerfacts import HeaderFacts
from chain.keys import Check
from chain.params import COINBASE_MATURITY, INITIAL_SUBSIDY, Params
from chain.pow import next_bits
from chain.script import Spend
from chain.scripttype import is_p2wpkh
from chain.tx import SEQUENCE_FINAL, OutPoint, Tx, format_outpoint

LEAST_VERSION = 4
"""Header versions below are from before BIP34, BIP66 and BIP65."""
LOCK_TIME_THRESHOLD = 500_000_000
"""Lock times below are heights, others Unix times."""
SEQUENCE_NO_LOCK = 1 << 31
"""A sequence with this bit has no relative lock (BIP68)."""
SEQUENCE_BY_TIME = 1 << 22
"""Bit of a sequence: the lock counts units of 512 seconds, without it blocks (BIP68)."""
SEQUENCE_MASK = 0xFFFF
"""The bits of a sequence that say how long the lock is (BIP68)."""
SEQUENCE_UNIT_BITS = 9
"""2^9 = 512 seconds."""


def connect_header(header: Header, parent: HeaderFacts | None, now: int, params: Params) -> None:
    """The header may stand on `parent`. `now` is Unix time in seconds.

    Its own proof of work is `check_pow`'s. Raises Unready(PREV_NOT_FOUND, TIME_TOO_NEW) and
    Invalid(BAD_PREV, DIFFBITS, TIME_TOO_OLD, VERSION).
    """
    if parent is None:
        raise Unready(Reject.PREV_NOT_FOUND)
    if parent.invalid:
        raise Invalid(Reject.BAD_PREV)
    wanted = next_bits(parent, params)
    if header.bits != wanted:
        raise Invalid(Reject.DIFFBITS, f"{header.bits:08x} instead of {wanted:08x}")
    if header.time <= parent.median_time:
        raise Invalid(Reject.TIME_TOO_OLD)
    if header.version < LEAST_VERSION:
        raise Invalid(Reject.VERSION, f"0x{header.version & 0xFFFFFFFF:08x}")
    if header.time > now + params.future_limit_s:
        raise Unready(Reject.TIME_TOO_NEW, f"{header.time - now} s ahead")


@value
class BlockContext:
    """The place in the chain where a transaction is to be connected."""

    height: int
    """Height of the block it would be in."""
    parent_median_time: int
    """Median time past that lock times are held against (BIP113)."""
    median_time_at: Callable[[int], int]
    """Median time past of this branch's block at a height, for relative locks."""


def context_after(parent: BlockNode) -> BlockContext:
    """The context of a block on top of `parent`."""
    return BlockContext(parent.height + 1, parent.median_time, lambda height: parent.ancestor(height).median_time)


def subsidy(height: int, params: Params) -> int:
    """Satoshis that the block at `height` may create."""
    return INITIAL_SUBSIDY >> height // params.halving_interval


def height_push(height: int) -> bytes:
    """The minimal push of a height, that every coinbase's script starts with (BIP34)."""
    if height == 0:
        return b"\x00"
    if height <= 16:
        return bytes((0x50 + height,))
    content = height.to_bytes(height.bit_length() // 8 + 1, "little")  # room for a sign bit
    return bytes((len(content),)) + content


def is_final(tx: Tx, height: int, median_time: int) -> bool:
    """True if the absolute lock time is over, or no input heeds it (BIP113)."""
    if tx.lock_time == 0:
        return True
    limit = height if tx.lock_time < LOCK_TIME_THRESHOLD else median_time
    return tx.lock_time < limit or all(spent.sequence == SEQUENCE_FINAL for spent in tx.inputs)


def relative_locks_over(tx: Tx, coins: Sequence[Coin], context: BlockContext) -> bool:
    """True if every input's relative lock is over (BIP68)."""
    if tx.version < 2:
        return True
    for index, spent in enumerate(tx.inputs):
        sequence = spent.sequence
        if sequence & SEQUENCE_NO_LOCK:
            continue
        coin = coins[index]
        if sequence & SEQUENCE_BY_TIME:
            start = context.median_time_at(max(coin.height - 1, 0))
            if start + ((sequence & SEQUENCE_MASK) << SEQUENCE_UNIT_BITS) > context.parent_median_time:
                return False
        elif coin.height + (sequence & SEQUENCE_MASK) > context.height:
            return False
    return True


def connect_inputs(tx: Tx, coins: Sequence[Coin], context: BlockContext) -> int:
    """The transaction may spend these coins here, signatures apart; returns its fee in satoshis.

    `coins` are in the order of `tx.inputs`. Raises Invalid(PREMATURE_COINBASE, IN_BELOW_OUT,
    NONFINAL), the last for relative locks only.
    """
    fee = 0
    for coin in coins:
        if coin[0] & COINBASE_BIT and context.height - coin.height < COINBASE_MATURITY:
            raise Invalid(Reject.PREMATURE_COINBASE, f"tried to spend coinbase at depth {context.height - coin.height}")
        fee += coin.value
    for output in tx.outputs:
        fee -= output.value
    if fee < 0:
        total_out = sum(output.value for output in tx.outputs)
        raise Invalid(Reject.IN_BELOW_OUT, f"value in ({total_out + fee} sat) < value out ({total_out} sat)")
    if not relative_locks_over(tx, coins, context):
        raise Invalid(Reject.NONFINAL, "relative lock")
    return fee


def connect_body(block: Block, context: BlockContext) -> None:
    """All that a block's place decides by itself, whichever branch it is on and whatever coins there are.

    For one that has passed `check_body` and `check_block`. Raises Invalid(NONFINAL, for absolute locks; CB_HEIGHT;
    BLOCK_WEIGHT, where Core looks at it).
    """
    for tx in block.txs:
        if tx.lock_time and not is_final(tx, context.height, context.parent_median_time):
            raise Invalid(Reject.NONFINAL, "absolute lock")
    if not block.txs[0].inputs[0].script_sig.startswith(height_push(context.height)):
        raise Invalid(Reject.CB_HEIGHT)
    if block.weight > MAX_WEIGHT:
        raise Invalid(Reject.BLOCK_WEIGHT, f"{block.weight} weight units")


@value
class Connected:
    """A connected block: its changes to the coins, and its fees."""

    delta: CoinsDelta
    undo: tuple[Coin, ...]
    """The coins its inputs spend, in order, the coinbase's input left out."""
    fees: int
    """Satoshis."""
    checks: tuple[Check, ...]
    """The signatures that remain to be verified before the block counts as valid."""


def connect_block(
    block: Block, context: BlockContext, lookup: CoinLookup, params: Params, known: Container[Wtxid] = frozenset()
) -> Connected:
    """Connect a block that has passed `check_body` and `check_block`, signatures apart.

    `lookup` sees the coins as they are after the parent. `known` are witness txids whose
    signatures have been verified before; they give no checks. Raises Invalid.
    """
    connect_body(block, context)
    height, coinbase = context.height, block.txs[0]
    created: dict[OutPoint, Coin] = {}
    spent: dict[OutPoint, Coin] = {}
    undo: list[Coin] = []
    checks: list[Check] = []
    fees = sigops_cost = 0
    for tx in block.txs:
        if tx is not coinbase:
            coins = _spend_inputs(tx, created, spent, lookup)
            fees += connect_inputs(tx, coins, context)
            sigops_cost += witness_sigops_cost(coins)
            undo += coins
            if tx.wtxid not in known:
                spend = Spend(tx, coins)
                checks += [spend.check(index) for index in range(len(coins))]
        add_outputs(tx, height, tx is coinbase, created)
    sigops_cost += legacy_sigops_cost(block.txs)
    if sigops_cost > MAX_SIGOPS_COST:
        raise Invalid(Reject.BLOCK_SIGOPS, f"cost {sigops_cost}")
    claimed = sum(output.value for output in coinbase.outputs)
    if claimed > fees + subsidy(height, params):
        raise Invalid(Reject.CB_AMOUNT, f"{claimed} sat instead of at most {fees + subsidy(height, params)}")
    return Connected(CoinsDelta(created, spent), tuple(undo), fees, tuple(checks))


def _spend_inputs(tx: Tx, created: dict[OutPoint, Coin], spent: dict[OutPoint, Coin], lookup: CoinLookup) -> list[Coin]:
    """The coins that a transaction spends, taken out of what the block has so far."""
    coins = []
    for entry in tx.inputs:
        point = entry.outpoint
        coin = created.pop(point, None)
        if coin is None:
            coin = None if point in spent else lookup(point)
            if coin is None:
                raise Invalid(Reject.INPUTS_MISSING_OR_SPENT, format_outpoint(point))
            spent[point] = coin
        coins.append(coin)
    return coins


def witness_sigops_cost(coins: Sequence[Coin]) -> int:
    """One for each P2WPKH coin spent (BIP141)."""
    cost = 0
    for coin in coins:
        if is_p2wpkh(coin[COIN_SCRIPT]):
            cost += 1
    return cost


def block_delta(block: Block, height: int, undo: Sequence[Coin]) -> CoinsDelta:
    """The delta of a block that was connected before; `undo` are the coins that it spent, in order."""
    created: dict[OutPoint, Coin] = {}
    spent: dict[OutPoint, Coin] = {}
    coins = iter(undo)
    for position, tx in enumerate(block.txs):
        if position:
            for entry in tx.inputs:
                coin = next(coins)
                if created.pop(entry.outpoint, None) is None:
                    spent[entry.outpoint] = coin
        add_outputs(tx, height, position == 0, created)
    assert next(coins, None) is None, "undo holds one coin for each input"
    return CoinsDelta(created, spent)
