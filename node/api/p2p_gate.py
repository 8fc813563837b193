"""The peers' listener's admission rules: sessions and rate limits, before a body is read."""

from collections.abc import Mapping
from types import MappingProxyType

from node.api.http.message import OCTETS, TEXT, Response, not_ready, one_line
from node.api.services.request_metrics import Refusals
from node.interface.messages import TOKEN_SIZE, Reason, Refusal
from node.p2p.scoring.rate_limits import OPEN, RateLimits
from node.p2p.wire.codec import ROUTES, SESSION_HEADER, encode
from node.runtime.runtime import Runtime

P2P_HOST_CONNECTIONS = 32
"""Connections of one address to the peers' listener: a node has five, and several may share an address."""

PREFIX = "/p2p/"
BLOCK = "block"
"""The name that GET /p2p/block/<hash> goes by in LIMITS."""

_SESSION = SESSION_HEADER.upper().replace("-", "_")
_LONGEST = MappingProxyType({name: route.request_max for name, route in ROUTES.items()})
_NO_SESSION = Response(401, encode(Refusal(Reason.NO_SESSION)), OCTETS)
_NO_PAGES = Response(403, one_line("pages may not speak to peers").encode(), TEXT)


class P2pGate:
    """Holds peers and strangers to LIMITS, and reads nothing long of who has no session."""

    host_connections = P2P_HOST_CONNECTIONS

    def __init__(self, runtime: Runtime, allow_local: bool, refusals: Refusals | None = None) -> None:
        """`refusals` counts what is refused, and why."""
        self._runtime = runtime
        self._refusals = refusals or Refusals()
        self._meter = RateLimits(allow_local, _LONGEST)

    def owner(self, host: str) -> bytes | None:
        """Implements `Gate`."""
        return self._meter.owner(host)

    def lets_in(self, host: str) -> bool:
        """Implements `Gate`."""
        return not self._meter.is_shut(host, self._runtime.now())

    def turns_away(
        self, host: str, method: str, path: str, headers: Mapping[str, str], length: int | None
    ) -> Response | None:
        """Implements `Gate`."""
        if method == "POST" and ("ORIGIN" in headers or "SEC_FETCH_SITE" in headers):
            return _NO_PAGES  # a browser's, perhaps under a name that was made to point here
        name, now = _route(method, path), self._runtime.now()
        longest = _LONGEST.get(name, 0)
        # Of a body in chunks nobody knows how long it will be.
        size = longest if length is None else min(length, longest)
        token, view = token_of(headers.get(_SESSION, "")), self._runtime.peek()
        peer = view.service.peer_of(token) if view and token else None
        if view and peer is not None and name:
            verdict = self._meter.of_peer(peer, name, size, now)
            if verdict.is_spam:
                view.service.spammed(peer)
        else:
            verdict = self._meter.of_host(host, name if name in OPEN else "", size, now)
        if verdict.wait_s:
            self._meter.refused(host, now)
            self._refusals.note("too_much")
            return _too_much(verdict.wait_s)
        if peer is None and name and name not in OPEN:
            self._refusals.note(Reason.NO_SESSION.name.lower())
            if self._runtime.ready:
                return _NO_SESSION
            return not_ready(self._runtime.refusal, for_good=self._runtime.fault is not None)
        return None


def token_of(given: str) -> bytes | None:
    """The session token in a header; None if it is malformed."""
    try:
        token = bytes.fromhex(given)
    except ValueError:
        return None
    return token if len(token) == TOKEN_SIZE else None


def _route(method: str, path: str) -> str:
    """The route's name in LIMITS; empty for what there is not."""
    if not path.startswith(PREFIX):
        return ""
    name = path[len(PREFIX) :]
    if method == "POST":
        return name if name in ROUTES else ""
    return BLOCK if method in ("GET", "HEAD") and name.startswith(BLOCK + "/") else ""


def _too_much(wait_s: int) -> Response:
    line = one_line(f"too much of this: come again in {wait_s} s")
    return Response(429, line.encode(), TEXT, (("Retry-After", str(wait_s)),))
