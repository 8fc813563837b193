"""Access rules: hosts against DNS rebinding, origins against pages of strangers, JSON-RPC credentials.

Pure: headers in, a verdict out.
"""

import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from node.api.http.message import Headers, Problem
from node.config import Config
from node.interface.endpoint import Endpoint

ANY_ORIGIN = "*"
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]@\s]+))(?::[0-9]{1,5})?")
"""An IPv6 address in brackets or anything else, and perhaps a port."""
HOST_MAX = 300
"""Characters of a Host header that can be a name (of at most 255) and a port."""
NAMES_KEPT = 256
"""Host headers whose verdict is remembered, 0.1 MB at most; beyond, the least used is looked at again."""
LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


class HostList:
    """The names by which this node may be called.

    A page whose name is made to point here (DNS rebinding) calls by its own name and is refused.
    Addresses cannot be made to point elsewhere: loopback ones are good, and those listened on.
    """

    def __init__(self, allowed: Iterable[str], listening: Iterable[Endpoint]) -> None:
        self._names = LOCAL_NAMES | {name.lower().rstrip(".") for name in allowed}
        self._any_address = False
        addresses = []
        for endpoint in listening:
            address = _address(endpoint.host)
            if address is None:
                self._names |= {endpoint.host.lower()}
            elif address.is_unspecified:  # then it is listened on all that the machine has
                self._any_address = True
            else:
                addresses.append(address)
        self._addresses = frozenset(addresses)
        # The same few names are asked for again and again.
        self._is_ours = lru_cache(NAMES_KEPT)(self._look)

    def check(self, host: str) -> None:
        """Raises Problem(403) unless the Host header names this node. Absent (HTTP/1.0) is fine."""
        if host and (len(host) > HOST_MAX or not self._is_ours(host)):
            raise Problem(403, f"host {host!r} is not allowed here (see --allow-host)")

    def _look(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1] or match[2]
        address = _address(name)
        if address is None:
            return name.lower().rstrip(".") in self._names
        return address.is_loopback or self._any_address or address in self._addresses


def check_origin(host: str, origin: str, fetch_site: str, allowed: tuple[str, ...]) -> None:
    """Raises Problem(403) for a write that a page of another origin asked for.

    `fetch_site` is Sec-Fetch-Site: browsers send it also where they send no Origin.
    """
    if origin and origin not in allowed and ANY_ORIGIN not in allowed:
        # "null" names nobody, and is not what a missing Host names.
        if not host or origin.partition("://")[2].lower() != host.lower():
            raise Problem(403, f"pages of {origin!r} may not write here (see --cors-origin)")
    elif not origin and fetch_site in ("cross-site", "same-site"):
        raise Problem(403, "pages of other origins may not write here (see --cors-origin)")


def is_allowed(origin: str, allowed: tuple[str, ...]) -> bool:
    """True if pages of an origin may read answers."""
    return ANY_ORIGIN in allowed or bool(origin and origin in allowed)


def cors_headers(origin: str, allowed: tuple[str, ...]) -> Headers:
    """Headers that let a page of an allowed origin read the answer."""
    if ANY_ORIGIN in allowed:
        return (("Access-Control-Allow-Origin", ANY_ORIGIN),)
    if not allowed:
        return ()
    # Also where it is not let in: a cache must not give one origin the answer to another.
    vary = ("Vary", "Origin")
    return (("Access-Control-Allow-Origin", origin), vary) if is_allowed(origin, allowed) else (vary,)


PREFLIGHT_HEADERS: Headers = (
    ("Access-Control-Allow-Methods", "GET, POST"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID"),
    ("Access-Control-Max-Age", "600"),
)


class Credentials:
    """The pairs of user and password that JSON-RPC takes, as they stand in the header."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._accepted = [f"{user}:{password}".encode() for user, password in pairs]

    @staticmethod
    def of(config: Config) -> "Credentials":
        """The cookie's, as it stands in its file now, and the operator's. Raises OSError, ValueError."""
        user, colon, password = config.cookie.read_text("ascii").strip().partition(":")
        if not colon:
            raise ValueError(f"{config.cookie} holds no credentials")
        pairs = [(user, password)]
        if config.rpc_user is not None and config.rpc_password is not None:
            pairs.append((config.rpc_user, config.rpc_password))
        return Credentials(pairs)

    def accept(self, header: str) -> bool:
        """True if the Authorization header names one of them. Takes the same time for all that are wrong."""
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (ValueError, binascii.Error):
            return False
        matches = [hmac.compare_digest(given, pair) for pair in self._accepted]
        return any(matches)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
