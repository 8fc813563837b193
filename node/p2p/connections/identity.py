"""Node identities, and their proof in the handshake.

The dialler sends Hello with a challenge; the answerer's Welcome has a challenge of its own and
a signature; the dialler's Confirm has the other signature and opens the session. Each signature
is BIP340 over the tagged hash of: network id, direction, the dialler's id, the answerer's id,
the dialler's challenge, the answerer's challenge. The direction keeps one side's proof from
being returned as the other's.
"""

import random
from enum import Enum

from chain.hashes import hash160, tagged_hash
from chain.keys import Engine, schnorr_check
from node.interface.endpoint import PeerId

PROOF_TAG = "groat/handshake/1"


class HandshakeSide(Enum):
    """The side of the handshake that a proof is of."""

    DIALLER = b"\x00"
    ANSWERER = b"\x01"


def peer_id(public_key: bytes) -> PeerId:
    """The id of the node with this key."""
    return PeerId(hash160(public_key))


def handshake_digest(
    network_id: bytes, side: HandshakeSide, ids: tuple[PeerId, PeerId], challenges: tuple[bytes, bytes]
) -> bytes:
    """The hash that `side` has to sign, 32 bytes. Ids and challenges: the dialler's, the answerer's."""
    return tagged_hash(PROOF_TAG, network_id + side.value + b"".join(ids) + b"".join(challenges))


class NodeIdentity:
    """A node's own key. The secret never leaves this object."""

    def __init__(self, secret: bytes, engine: Engine, rng: random.Random) -> None:
        """Raises ValueError on an impossible secret."""
        self._secret = secret
        self._engine = engine
        self._rng = rng
        self.public_key = engine.public_key(secret)
        self.id = peer_id(self.public_key)

    def prove(self, digest: bytes) -> bytes:
        """Our signature."""
        return self._engine.sign_schnorr(self._secret, digest)

    def is_proof(self, public_key: bytes, proof: bytes, digest: bytes) -> bool:
        """True if the owner of `public_key` signed."""
        return self._engine.verify(schnorr_check(public_key[1:], proof, digest))

    def unguessable(self, purpose: str, size: int) -> bytes:
        """Bytes for a challenge or token. The secret is mixed in, so that whoever has worked out
        the state of the random numbers, which other messages betray, still cannot tell them."""
        return tagged_hash(f"groat/{purpose}", self._secret + self._rng.randbytes(32))[:size]
