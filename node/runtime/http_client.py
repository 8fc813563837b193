"""The only outgoing HTTP: one POST at a time to a peer, bounded in time and bytes.

A `requests` timeout is per read, so a peer that drips a byte a second defeats it. Here every
read of a connection, status line and headers included, waits only for what is left of the whole
request's time. The wallet has such sockets of its own: it may not import `node/`, nor `chain/` do I/O.
"""

import socket
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import requests
import requests.adapters
import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import MaxRetryError, NewConnectionError
from urllib3.poolmanager import PoolManager

from node.interface.endpoint import Endpoint

CONNECT_S = 5.0
"""Limit of a request's time that goes into connecting, in seconds."""
LEAST_S = 0.001
"""A timeout of zero would mean none."""
CHUNK_BYTES = 1 << 20
"""Read at once of an answer."""
ERROR_BYTES = 1_024
"""Bytes read of an answer that is not 200."""
TOO_MANY = 429
RETRY_S, RETRY_MAX_S = 1, 60
"""Seconds to wait after a 429 that does not say, and at most."""
HEADERS = MappingProxyType(
    {"User-Agent": "groat", "Content-Type": "application/octet-stream", "Accept-Encoding": "identity"}
)
"""Headers of each request."""


class Received(NamedTuple):
    """The response."""

    status: int
    body: bytes
    """Whole for a 200; of any other status the first `ERROR_BYTES` at most."""
    retry_s: int = 0
    """Seconds to wait after a 429, RETRY_MAX_S at most."""


class HttpFailure(Exception):
    """A request without an answer that can be taken. Its words are ours: nothing in them is the peer's."""

    def __init__(self, reason: str, offence: bool) -> None:
        super().__init__(reason)
        self.offence = offence
        """The peer answered 200 with something that no honest one sends."""


class _RequestDeadline:
    """The deadline of the request that a session is at; shared with its sockets."""

    at = 0.0

    def left_s(self) -> float:
        """Seconds left. Raises TimeoutError when the deadline has passed."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline")
        return left


class _Socket(socket.socket):
    """A connection each of whose waits ends at the deadline."""

    deadline: _RequestDeadline

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.deadline.left_s())
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(self.deadline.left_s())  # for sendall this is the total
        super().sendall(*args, **kwargs)


class _Request(requests.PreparedRequest):
    """A POST request, prepared by hand."""

    def __init__(self, endpoint: Endpoint, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__()
        self.endpoint, self.path = endpoint, path
        self.method, self.url, self.body = "POST", f"http://{endpoint}{path}", body
        given = {**HEADERS, "Content-Length": str(len(body)), **headers}
        self.headers = given  # type: ignore[assignment]  # nobody looks one up but by the name that it has here


class _Adapter(requests.adapters.HTTPAdapter):
    """Makes the client's connections, with sockets that know its deadline.

    What an adapter works out anew for each request (proxies, certificates, cookies, encodings, the
    pool that suits the URL) is the same for all of ours, or nothing.
    """

    def __init__(self, deadline: _RequestDeadline) -> None:
        self._pool: tuple[Endpoint, Any] | None = None

        class DeadlineConnection(HTTPConnection):
            _unsent: list[bytes] | None = None

            def request(self, *args: Any, **kwargs: Any) -> None:
                """Headers and body go out as one: each system call lets another thread in."""
                self._unsent = []
                try:
                    super().request(*args, **kwargs)
                finally:
                    unsent, self._unsent = self._unsent, None
                self.send(b"".join(unsent))

            def send(self, data: Any) -> None:
                if self._unsent is None:
                    super().send(data)
                else:
                    self._unsent.append(data)

            def _new_conn(self) -> socket.socket:
                plain = super()._new_conn()
                plain_timeout = plain.gettimeout()
                watched = _Socket(plain.family, plain.type, plain.proto, plain.detach())
                watched.settimeout(plain_timeout)
                watched.deadline = deadline
                return watched

        class Pool(HTTPConnectionPool):
            ConnectionCls = DeadlineConnection

        self._pool_class = Pool
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        manager: PoolManager = self.poolmanager
        manager.pool_classes_by_scheme = {"http": self._pool_class}

    def get_connection_with_tls_context(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        pool = self._pool
        if pool is None or pool[0] != request.endpoint:
            pool = self._pool = request.endpoint, super().get_connection_with_tls_context(request, *args, **kwargs)
        return pool[1]

    def cert_verify(self, *args: Any) -> None:
        """Do nothing: there are no certificates."""

    def request_url(self, request: Any, proxies: Any) -> str:
        path: str = request.path
        return path

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.headers, response.raw = resp.status, resp.headers, resp
        return response

    def close(self) -> None:
        self._pool = None
        super().close()


class Client:
    """One keep-alive connection to one peer. For one thread at a time; `close` is for any."""

    def __init__(self) -> None:
        self._deadline = _RequestDeadline()
        # A Session around it would look for proxies, cookies and redirects, of which there are none
        # here, in a third of a request's time.
        self._adapter = _Adapter(self._deadline)

    def post(
        self, endpoint: Endpoint, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float, most: int
    ) -> Received:
        """POST `body` and read the answer, of a 200 at most `most` bytes.

        Raises HttpFailure if there is no connection, the answer is longer or encoded, or all of
        it has not happened within `timeout_s`.
        """
        self._deadline.at = time.monotonic() + timeout_s
        try:
            timeout = max(LEAST_S, min(CONNECT_S, timeout_s)), max(LEAST_S, timeout_s)
            request = _Request(endpoint, path, body, headers)
            with self._adapter.send(request, stream=True, timeout=timeout) as response:
                return self._received(response, most)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self.close()
            failure = HttpFailure(self._why(error), isinstance(error, _Refused))
        # Out here, so that it does not keep the error's whole stack and connection alive.
        raise failure

    def close(self) -> None:
        """Drop the connection; the next request makes a new one."""
        self._adapter.close()

    def _received(self, response: requests.Response, most: int) -> Received:
        status = response.status_code
        if status == 200 and response.headers.get("Content-Encoding", "identity") != "identity":
            raise _Refused("answer in an encoding")
        most = most if status == 200 else ERROR_BYTES
        body = bytearray()
        while chunk := response.raw.read(min(CHUNK_BYTES, most + 1 - len(body)), decode_content=False):
            body += chunk
            if len(body) > most:
                self.close()
                if status == 200:
                    raise _Refused(f"answer over {most} bytes")
                break
        return Received(status, bytes(body[:most]), _retry_s(response) if status == TOO_MANY else 0)

    def _why(self, error: Exception) -> str:
        """The reason of a failed request, in a few words."""
        if isinstance(error, _Refused):
            return str(error)
        if time.monotonic() >= self._deadline.at:
            return "timed out"
        if isinstance(error, requests.ConnectTimeout):
            return "does not answer"
        cause = error.args[0] if error.args else None
        if isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError):
            return "cannot connect"
        return "connection lost"


def _retry_s(response: requests.Response) -> int:
    said = response.headers.get("Retry-After", "")
    # isdigit alone takes digits of any script.
    return max(RETRY_S, min(RETRY_MAX_S, int(said))) if said.isascii() and said.isdigit() and len(said) < 5 else RETRY_S


class _Refused(ValueError):
    """A 200 that is not taken."""
