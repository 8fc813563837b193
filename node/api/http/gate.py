"""Admission: a listener's rules before it accepts a connection, and before it reads a body.

`P2pGate` is the peers' listener's. Everything here runs in the listener's own thread, and takes no lock.
"""

from collections.abc import Mapping
from typing import Protocol

from node.api.http.message import Response

API_HOST_CONNECTIONS = 1_000
"""Connections of one address to the API: wallets, browsers, and the proxy in front of all of them."""


class Gate(Protocol):
    """The admission rules of a listener."""

    host_connections: int
    """Connections of one owner at once; then the one that has been idle or unfinished longest is closed."""

    def owner(self, host: str) -> bytes | None:
        """The owner with whom connections from an address count together; None: they are not counted."""
        ...

    def lets_in(self, host: str) -> bool:
        """False if a connection from there is to be closed unheard."""
        ...

    def turns_away(
        self, host: str, method: str, path: str, headers: Mapping[str, str], length: int | None
    ) -> Response | None:
        """The answer to a request instead of reading it; None to read on. `length` is what is said of its
        body, None for one in chunks."""
        ...


class ApiGate:
    """Lets everybody in; no address may have all connections."""

    host_connections = API_HOST_CONNECTIONS

    def owner(self, host: str) -> bytes | None:
        """Implements `Gate`."""
        return host.encode()

    def lets_in(self, host: str) -> bool:
        """Implements `Gate`."""
        return True

    def turns_away(
        self, host: str, method: str, path: str, headers: Mapping[str, str], length: int | None
    ) -> Response | None:
        """Implements `Gate`."""
        return None
