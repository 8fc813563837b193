"""Nodes as others reach them: their ids, endpoints, and the links to peers."""

from dataclasses import dataclass
from typing import NamedTuple, NewType

PeerId = NewType("PeerId", bytes)
"""20 bytes: hash160 of the peer's public key."""


class Endpoint(NamedTuple):
    """The endpoint of a listening node."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Link:
    """A peer that we can send requests to."""

    peer: PeerId
    endpoint: Endpoint
    token: bytes
    """The session token of the peer's welcome."""
