"""Messages between nodes, as values, and the limits of each."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from chain.block import Header
from chain.hashes import BlockHash, Txid, Wtxid
from chain.tx import Tx
from node.interface.endpoint import Endpoint, PeerId

PROTOCOL_VERSION = 1
"""Protocol version of this node, told in the handshake; how messages are written is another number, in each of them."""
PROTOCOL_VERSION_LEAST = 1
"""The oldest that it still talks to."""
LOCATOR_MAX = 101
"""Hashes of a locator."""
HEADERS_MAX = 2_000
"""Headers of a reply; fewer mean that there are no more."""
ANNOUNCED_MAX = 8
"""Headers of an announcement; a longer branch is announced by its last one."""
INV_MAX = 1_000
"""Ids in one announcement of transactions."""
WANT_MAX = 100
"""Transactions asked for at once, and so delivered at once."""
TXS_BYTES_MAX = 2_000_000
"""Bytes of transactions in one message; the rest goes into the next."""
BLOCK_BYTES_MAX = 4_000_000
"""Bytes of a block: no more than its weight."""
BLOCKS_MAX = 8
"""Blocks asked for at once."""
BLOCKS_BYTES = 262_144
"""Bytes after which a reply takes no further block: what saves round trips are small blocks."""
ADDRESSES_MAX = 1_000
"""Endpoints of a reply."""
PUSHED_MAX = 8
"""Endpoints told unasked in one message."""
NEIGHBOURS_MAX = 16
"""Nodes of one answer to FindNode: Kademlia's k."""
BLOCK_TXS_MAX = 16_666
"""Transactions of a block: its weight over that of the smallest, 60 bytes without witness."""
COINBASE_BYTES_MAX = 100_000
"""Bytes of a coinbase that still goes into a compact block; a block with a longer one is sent whole."""
SHORT_ID_SIZE = 6
NAME_SIZE = 8
"""Bytes of a transaction's name at the node that is told of it; see short_txid.py."""
SALT_SIZE = 8
AGENT_MAX = 64
"""Characters of a node's description of itself."""
TOKEN_SIZE = 16
PROOF_SIZE = 64
SERVES_BLOCKS = 1
"""Bit of the services: has every block of its chain, and does what the next three say."""
SERVES_RECENT = 2
"""Has the newest 288 blocks."""
RELAYS = 4
"""Relays transactions and new blocks, and has the newest 16 of these."""
SERVES_HEADERS = 8
"""Has every header, in runs of any length."""
MINES = 16
"""Looks for blocks itself."""
BLOCKS_ONLY = 1 << 17
"""Bit of the services: wants blocks from this peer, and neither transactions nor addresses."""
VISITOR = 1 << 16
"""Bit of the services: came to ask something and will leave again; it is not a peer."""
NO_STOP = BlockHash(bytes(32))
"""As the last header wanted: as many as there may be."""


class Reason(IntEnum):
    """Reasons of a refusal."""

    WRONG_NETWORK = 1
    """Its network id is another."""
    SELF = 2
    """It is this very node."""
    VERSION = 3
    """It speaks no version of the protocol that is spoken here."""
    BUSY = 4
    """There are as many peers as there may be."""
    NO_SESSION = 5
    """The session token is missing, unknown or no longer valid: greet again."""
    BAD_PROOF = 6
    """The signature does not prove the identity it claims."""
    DISCOURAGED = 7
    """It broke the rules not long ago."""
    CHOKED = 8
    """Old blocks and long runs of headers go to others just now: come again later, or ask somebody else."""
    NOT_SERVED = 9
    """This node's role does not serve that."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A node's facts about itself in the handshake."""

    version: int
    """Version of the protocol that it speaks: 1. One that is lower than the least that is spoken here is refused."""
    public_key: bytes
    """33 bytes; the node's id is their hash160."""
    network_id: bytes
    """32 bytes: of the parameters and the genesis."""
    instance: bytes
    """8 bytes drawn at each start: the sessions of an earlier start are void."""
    listen: Endpoint | None
    """Endpoint where it can be dialled: an IP address and port; an empty host is the address that the
    other side sees. None: nowhere."""
    services: int
    """Bit field; unknown bits mean nothing."""
    agent: str
    """Its software, printable ASCII."""
    height: int
    """Height of its tip; 0 is genesis, the tip of a node without a chain."""
    chainwork: int
    """Expected hashes of all blocks up to its tip, genesis (2) counted."""
    tip: BlockHash
    """Its tip's hash."""
    time: int = 0
    """Its clock, in Unix seconds; 0: it does not say."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A greeting."""

    facts: Facts
    challenge: bytes
    """32 bytes that the welcome's proof has to cover."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """A greeting returned, with the token of a session that Confirm will open."""

    facts: Facts
    challenge: bytes
    """32 bytes that the confirmation's proof has to cover."""
    token: bytes
    """The session token that later requests have to name."""
    proof: bytes
    """A signature over both ids and both challenges."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """The greeter's proof, which opens its session."""

    token: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """No. May answer every request."""

    reason: Reason
    """One of the codes under "Why something is refused"; any other is malformed."""


@dataclass(frozen=True, slots=True)
class Ok:
    """Received."""


@dataclass(frozen=True, slots=True)
class GetHeaders:
    """Asks for the headers of the best chain after the first locator hash that is on it. Genesis itself is
    never sent."""

    locator: tuple[BlockHash, ...]
    """From the asker's best header back to genesis, ever further apart; if it is empty, or nothing in it is
    known, the answer begins with the block after genesis."""
    stop: BlockHash = NO_STOP
    """The last one wanted; zeros, or one that is not among those to be sent: as many as fit."""


@dataclass(frozen=True, slots=True)
class Headers:
    """Headers of one branch, lowest first."""

    headers: tuple[Header, ...]


@dataclass(frozen=True, slots=True)
class GetBlocks:
    """Asks for blocks, of any branch."""

    hashes: tuple[BlockHash, ...]


@dataclass(frozen=True, slots=True)
class Blocks:
    """The first of the blocks asked for, with GetBlocks or in News, in Bitcoin's serialization with witness."""

    raws: tuple[bytes, ...]
    """In the order of the request, one at least; empty for a block that is not here. What did not
    fit is to be asked for again."""


@dataclass(frozen=True, slots=True)
class Announce:
    """New blocks at the end of the sender's best chain, lowest first."""

    headers: tuple[Header, ...]


@dataclass(frozen=True, slots=True)
class Inv:
    """Transactions that the sender has."""

    names: tuple[bytes, ...]
    """As they are called at the receiver. Parents before children. Names of witness ids: a bad
    witness must not hide the good one."""


@dataclass(frozen=True, slots=True)
class Want:
    """Announced transactions to deliver now, with Txs. Answers Inv and Txs; no verdict on what was delivered."""

    names: tuple[bytes, ...]
    """As they were announced."""


@dataclass(frozen=True, slots=True)
class Txs:
    """Transactions: pushed after a Want (and answered by the next), or the answer to GetTxs. Of those pushed, what
    the sender has not announced is ignored."""

    txs: tuple[Tx, ...]
    """Parents before children."""


@dataclass(frozen=True, slots=True)
class GetTxs:
    """Asks for transactions. The answer holds those that are in the mempool and fit into one message; the
    others are left out."""

    names: tuple[bytes, ...] = ()
    """As they are called at the asker; only what the answerer has announced to it, by Inv or News, is found."""
    txids: tuple[Txid, ...] = ()
    """Any in the mempool. For the unknown parents of a transaction: all that a child names."""


@dataclass(frozen=True, slots=True)
class GetAddresses:
    """Asks for endpoints of other nodes."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Endpoints of other nodes: IP addresses and ports, never names or URLs."""

    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class AnnounceAddress:
    """Endpoints at which the sender has lately met other nodes; sent unasked."""

    endpoints: tuple[Endpoint, ...]


class Neighbour(NamedTuple):
    """A node and where it listens."""

    id: PeerId
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class FindNode:
    """Asks for the nodes whose ids are closest to one id (Kademlia's FIND_NODE)."""

    target: bytes
    """20 bytes; distance is the exclusive or of two ids, as a number."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """The closest nodes that the sender has met itself, the closest first."""

    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True)
class Bye:
    """The end of a visit. Of an ordinary peer it is answered, and ends nothing."""


@dataclass(frozen=True, slots=True)
class CompactBlock:
    """A block of whose transactions the other side has most, as BIP152's but for the hash: pushed
    to who wants it unasked, or the answer to GetCompact."""

    header: Header
    salt: bytes
    """8 bytes, drawn by the sender for this block."""
    coinbase: Tx
    """The block's first transaction, which nobody can have."""
    short_ids: tuple[bytes, ...]
    """Short ids of the other transactions in order, 6 bytes each: blake2b of the witness txid, keyed with the salt."""


@dataclass(frozen=True, slots=True)
class GetCompact:
    """Asks for a recent block in its compact form. Ok instead means: ask for the whole block."""

    hash: BlockHash


@dataclass(frozen=True, slots=True)
class GetBlockTxs:
    """Asks for transactions of a recent block by their positions in it, for a compact block that
    could not be filled. Ok instead means: ask for the whole block."""

    hash: BlockHash
    positions: tuple[int, ...]
    """Ascending, one at least; the coinbase is at 0. Each is written as how many are left out between the one
    before and it (a compact size): 0, 1, 5 are `03 00 00 03`."""


@dataclass(frozen=True, slots=True)
class BlockTxs:
    """Exactly the transactions asked for, in order."""

    txs: tuple[Tx, ...]


@dataclass(frozen=True, slots=True)
class Prefer:
    """The sender's wish that new blocks of the receiver be pushed in their compact form, unasked and
    before they are connected."""

    pushed: bool
    """1: from now on; 0: no longer."""


@dataclass(frozen=True, slots=True)
class Poll:
    """Asks for what the other side would announce, if it could reach the sender; answered when there
    is something, or empty after a while. A newer one ends the one before."""

    number: int
    """Higher than in all earlier ones of this start of the sender, whichever session they named; from 1."""
    received: int
    """The number of the last one whose answer arrived; 0: none. What later ones brought is lost."""


@dataclass(frozen=True, slots=True)
class News:
    """The answer to a Poll."""

    headers: tuple[Header, ...]
    """As in Announce; none: nothing new."""
    wtxids: tuple[Wtxid, ...]
    """Transactions that an Inv would name; to be asked for with GetTxs, by their names at the poller."""
    blocks: tuple[BlockHash, ...] = ()
    """Blocks that the poller has announced and the answerer can fetch from nobody: to be pushed to it."""


Request = (
    Hello
    | Confirm
    | GetHeaders
    | GetBlocks
    | Announce
    | Inv
    | Txs
    | GetTxs
    | GetAddresses
    | Poll
    | Blocks
    | FindNode
    | AnnounceAddress
    | Bye
    | CompactBlock
    | GetCompact
    | GetBlockTxs
    | Prefer
)
Reply = Welcome | Refusal | Ok | Headers | Blocks | Want | Txs | Addresses | News | Nodes | CompactBlock | BlockTxs
Message = Request | Reply
