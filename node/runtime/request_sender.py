"""Requests of the core to peers by HTTP, and the answers brought back.

A peer has queues, each bounded and with threads with connections of their own: what is small
and urgent (announcements, headers) never waits behind blocks, nor do transactions, and nothing waits
behind a Poll, which the peer holds. The next blocks travel while the last ones are decoded and
connected. Greetings share a queue. Knows nothing of what the messages mean.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from chain.errors import Invalid
from node.interface.effects import Answer, Dial, Failed, Send
from node.interface.endpoint import PeerId
from node.interface.messages import (
    Announce,
    Blocks,
    CompactBlock,
    GetBlocks,
    GetBlockTxs,
    GetCompact,
    GetHeaders,
    Poll,
    Prefer,
    Refusal,
    Reply,
    Request,
)
from node.p2p.wire.codec import ROUTES, SESSION_HEADER, decode_reply, encode, route_name
from node.runtime.http_client import TOO_MANY, Client, HttpFailure
from node.runtime.request_queues import QueuedRequest, RequestQueue, Spawn

URGENT = (Announce, GetHeaders, CompactBlock, GetCompact, GetBlockTxs, Prefer)
URGENT_MAX = 64
"""Requests that wait in a peer's urgent queue; one more fails at once."""
BLOCKS_LANE_MAX = 64
"""Requests that wait in a peer's queue for blocks; one more fails at once."""
BLOCKS_THREADS = 2
"""Requests for blocks under way at once: while one's answer is worked on, the next one's comes in."""
BULK_MAX = 128
"""Requests of all other kinds that wait."""
POLLS_LANE_MAX = 2
"""Polls that wait: one, behind one that the peer has not answered in time."""
DIALS_MAX = 64
"""Greetings that wait."""
DIAL_THREADS = 4
"""Greetings under way at once: most of their time is waiting for who is not there."""
OK, NOT_FOUND = 200, 404

Deliver = Callable[[PeerId | None, Answer], None]
"""Gives the core what came back."""
Note = Callable[[PeerId | None, str, int, int], None]
"""Counts a message: the peer, the route, bytes sent and received. For any thread."""


class _RequestQueues(NamedTuple):
    """The request queues of one peer."""

    urgent: RequestQueue
    blocks: RequestQueue
    bulk: RequestQueue
    polls: RequestQueue
    resting: dict[str, float]
    """Routes by which the peer was asked too often, and until when it is not asked again."""

    def of(self, message: Request) -> RequestQueue:
        """The queue that a request takes."""
        if isinstance(message, URGENT):
            return self.urgent
        if isinstance(message, Poll):
            return self.polls
        return self.blocks if isinstance(message, GetBlocks | Blocks) else self.bulk


class HttpRequestSender:
    """Request queues of all peers. The methods are called one at a time, under the runtime's lock, and never wait."""

    def __init__(
        self,
        prepare: Callable[[Reply], Any],
        deliver: Deliver,
        spawn: Spawn,
        clock: Callable[[], float],
        note: Note = lambda peer, route, sent, received: None,
    ) -> None:
        """`prepare` is what can be done with a reply before the core has it, in the queue's own
        thread. `clock` is monotonic, in seconds."""
        self._note = note
        self._prepare = prepare
        self._deliver = deliver
        self._spawn = spawn
        self._clock = clock
        self._queues: dict[PeerId, _RequestQueues] = {}
        self._dials = RequestQueue("dial", DIALS_MAX, self._carry, spawn, DIAL_THREADS)

    def send(self, effect: Send) -> Failed | None:
        """Queue a request to a peer; why not, if not."""
        link = effect.link
        queues = self._queues.get(link.peer)
        if queues is None:
            queues = self._queues[link.peer] = self._open(f"peer-{link.peer.hex()[:8]}")
        queued = QueuedRequest(link.peer, link.endpoint, link.token, effect.message, effect.request_id, effect.deadline)
        return None if queues.of(effect.message).put(queued) else Failed("too many requests wait for this peer")

    def dial(self, effect: Dial) -> Failed | None:
        """Queue a greeting; why not, if not."""
        queued = QueuedRequest(None, effect.endpoint, None, effect.message, effect.request_id, effect.deadline)
        return None if self._dials.put(queued) else Failed("too many greetings wait")

    def close(self, peer: PeerId) -> None:
        """Forget what is queued for a peer, and its connections."""
        if queues := self._queues.pop(peer, None):
            for waiting in (queues.urgent, queues.blocks, queues.bulk, queues.polls):
                waiting.close()

    def close_all(self) -> None:
        """The node stops."""
        for peer in list(self._queues):
            self.close(peer)
        self._dials.close()

    def _open(self, name: str) -> "_RequestQueues":
        return _RequestQueues(
            RequestQueue(f"{name}-urgent", URGENT_MAX, self._carry, self._spawn),
            RequestQueue(f"{name}-blocks", BLOCKS_LANE_MAX, self._carry, self._spawn, BLOCKS_THREADS),
            RequestQueue(f"{name}-bulk", BULK_MAX, self._carry, self._spawn),
            RequestQueue(f"{name}-polls", POLLS_LANE_MAX, self._carry, self._spawn),
            {},
        )

    def _carry(self, client: Client, queued: QueuedRequest) -> None:
        now, name = self._clock(), route_name(queued.message)
        left_s = queued.deadline - now
        queues = self._queues.get(queued.peer) if queued.peer else None
        rest_s = queues.resting.get(name, 0.0) - now if queues else 0.0
        if rest_s > 0:
            reply: Reply | Failed = Failed("told to wait", retry_s=rest_s)
        elif left_s <= 0:
            reply = Failed("timed out in the queue")
        else:
            reply = _ask(client, queued, left_s, self._note)
            if queues and isinstance(reply, Failed) and reply.retry_s:
                queues.resting[name] = now + reply.retry_s
        outcome = reply if isinstance(reply, Failed) else self._prepare(reply)
        self._deliver(queued.peer, Answer(queued.request_id, outcome))


def _ask(client: Client, queued: QueuedRequest, timeout_s: float, note: Note) -> Reply | Failed:
    name = route_name(queued.message)
    headers = {SESSION_HEADER: queued.token.hex()} if queued.token else {}
    body = encode(queued.message)
    try:
        received = client.post(queued.endpoint, f"/p2p/{name}", body, headers, timeout_s, ROUTES[name].reply_max)
    except HttpFailure as failure:
        note(queued.peer, name, len(body), 0)
        return Failed(str(failure), failure.offence)
    note(queued.peer, name, len(body), len(received.body))
    if received.status == TOO_MANY:
        return Failed("told to wait", retry_s=received.retry_s)
    try:
        reply = decode_reply(name, received.body)
    except Invalid as error:
        # Who is busy, or stands behind something that is, answers with a status and other words.
        return Failed(str(error), True) if received.status == OK else Failed(_status(received.status))
    if received.status != OK and not isinstance(reply, Refusal):
        return Failed(_status(received.status))
    return reply


def _status(status: int) -> str:
    hint = " (no peers' listener: is this the port of an API?)" if status == NOT_FOUND else ""
    return f"status {status}{hint}"
