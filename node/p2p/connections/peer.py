"""One peer of ours: a node whose identity is proved, and all that a session with it keeps."""

from dataclasses import dataclass

from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import VISITOR, Facts


@dataclass(slots=True)
class Peer:
    """A node whose identity is proved."""

    id: PeerId
    number: int
    """Counts up from 1 in the order of arrival: what operators name a peer by."""
    facts: Facts
    """The peer's facts, as it said in its last handshake."""
    host: str
    """The address it was seen at."""
    outbound: bool
    """We greeted first."""
    since: float
    heard: float
    """Time of its last message."""
    link: Link | None = None
    tokens: tuple[bytes, ...] = ()
    """Newest first."""
    has_spoken: bool = False
    """The peer has sent a request in a session, and so knows that it has one."""
    failures: int = 0
    """Failed requests in a row."""
    round_trip_s: float | None = None
    """Round-trip time of the last small request."""
    least_round_trip_s: float | None = None
    """Least round-trip time of all requests: eviction goes by it."""
    clock_ahead_s: float | None = None
    """Seconds by which its clock was ahead of our own at the handshake; None if it did not say."""
    blocks_only: bool = False
    """Neither transactions nor addresses go either way: it, or we, asked for that."""

    @property
    def is_visitor(self) -> bool:
        """True if the node came to ask something, and is not a peer."""
        return is_visit(self.facts)

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint where it was reached, or says that it listens."""
        if self.link:
            return self.link.endpoint
        listen = self.facts.listen
        return Endpoint(listen.host or self.host, listen.port) if listen else None


def is_visit(facts: Facts) -> bool:
    return bool(facts.services & VISITOR)
