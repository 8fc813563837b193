"""What nodes say to each other, as values, and how much of anything one message may hold."""

from dataclasses import dataclass
from enum import IntEnum

from chain.block import Header
from chain.hashes import BlockHash, Txid, Wtxid
from chain.tx import Tx
from node.ports import Endpoint

PROTOCOL_VERSION = 1
"""What this node speaks, told in the handshake."""
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
AGENT_MAX = 64
"""Characters of a node's description of itself."""
TOKEN_SIZE = 16
PROOF_SIZE = 64
SERVES_BLOCKS = 1
"""Bit of the services: has every block of its chain."""
NODE_SERVICES = SERVES_BLOCKS
"""What this node offers."""
NO_STOP = BlockHash(bytes(32))
"""As the last header wanted: as many as there may be."""


class Reason(IntEnum):
    """Why a node is not talked to."""

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


@dataclass(frozen=True, slots=True)
class Facts:
    """What a node says of itself in the handshake."""

    version: int
    """The PROTOCOL_VERSION it speaks."""
    public_key: bytes
    """33 bytes; the node's id is their hash160."""
    network_id: bytes
    """32 bytes: of the parameters and the genesis."""
    instance: bytes
    """8 bytes drawn at each start: the sessions of an earlier start are void."""
    listen: Endpoint | None
    """Where it can be dialled: an IP address and port; an empty host is the address that the
    other side sees. None: nowhere."""
    services: int
    """Bit field."""
    agent: str
    """Its software, printable ASCII."""
    height: int
    """Of its tip."""
    chainwork: int
    """Of its tip."""
    tip: BlockHash
    """Its tip."""


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
    """What later requests have to name."""
    proof: bytes
    """A signature over both ids and both challenges (see handshake.py)."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """The greeter's proof, which opens its session."""

    token: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """No. May answer every request."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Ok:
    """Received."""


@dataclass(frozen=True, slots=True)
class GetHeaders:
    """Asks for the headers of the best chain after the first locator hash that is on it."""

    locator: tuple[BlockHash, ...]
    """From the asker's best header back to genesis, ever further apart."""
    stop: BlockHash = NO_STOP
    """The last one wanted."""


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
    """The first of the blocks asked for, as they are stored; `prepare` in download.py decodes them."""

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

    wtxids: tuple[Wtxid, ...]
    """Parents before children. Witness ids: a bad witness must not hide the good one."""


@dataclass(frozen=True, slots=True)
class Want:
    """Which announced transactions to deliver now, with Txs. Answers Inv and Txs."""

    wtxids: tuple[Wtxid, ...]


@dataclass(frozen=True, slots=True)
class Txs:
    """Transactions: pushed after a Want (and answered by the next), or the answer to GetTxs."""

    txs: tuple[Tx, ...]
    """Parents before children."""


@dataclass(frozen=True, slots=True)
class GetTxs:
    """Asks for transactions. The answer holds those that are here and fit into one message."""

    wtxids: tuple[Wtxid, ...] = ()
    txids: tuple[Txid, ...] = ()
    """For the unknown parents of a transaction: all that a child names."""


@dataclass(frozen=True, slots=True)
class GetAddresses:
    """Asks for endpoints of other nodes."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Endpoints of other nodes: IP addresses and ports, never names or URLs."""

    endpoints: tuple[Endpoint, ...]


Request = Hello | Confirm | GetHeaders | GetBlocks | Announce | Inv | Txs | GetTxs | GetAddresses
Reply = Welcome | Refusal | Ok | Headers | Blocks | Want | Txs | Addresses
Message = Request | Reply
