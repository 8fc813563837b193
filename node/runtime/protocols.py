"""Interfaces of the runtime's parts, each as little as it needs of it."""

from collections.abc import Callable
from typing import Any, Protocol

from chain.block import Header
from node.core.view import NodeView
from node.interface.effects import Dial, Failed, Send, Step
from node.interface.endpoint import PeerId


class Core(Protocol):
    """The node as a machine without threads; `node.core.node.Node` is one."""

    view_version: int
    """Changes whenever a new NodeView is to be published."""
    ready: bool
    """The best chain of the stored blocks is committed."""

    def start(self, now: float) -> Step[None]: ...
    def handle(self, peer: PeerId | None, message: Any, now: float) -> Step[Any]: ...
    def tick(self, now: float) -> Step[None]: ...
    def view(self) -> NodeView: ...
    def peer_of(self, token: bytes) -> PeerId | None:
        """The peer of a session token, if there is one. Needs no lock."""
        ...


class RequestSender(Protocol):
    """Takes requests to peers. Called under the lock, so it never waits; `node.runtime.request_sender` is one."""

    def send(self, effect: Send) -> Failed | None:
        """Queue a request; why not, if not."""
        ...

    def dial(self, effect: Dial) -> Failed | None:
        """Queue a greeting; why not, if not."""
        ...

    def close(self, peer: PeerId) -> None:
        """Forget what is queued for a peer."""
        ...


class Switch:
    """A switch for what goes on until it is turned off, and can be turned on again. From any thread."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """`changed` is called after each turn that makes a difference."""
        self._changed = changed
        self.is_on = True

    def turn(self, on: bool) -> None:
        """Turn it on, or off."""
        if self.is_on != on:
            self.is_on = on
            self._changed()


class Solver(Protocol):
    """Does proof of work; `node.mining.miner_pool.MinerPool` is one."""

    def solve(self, header: Header, deadline: float, is_wanted: Callable[[], bool]) -> Header | None: ...
    def wake(self) -> None:
        """Have `solve` ask at once whether it is still wanted."""
        ...
