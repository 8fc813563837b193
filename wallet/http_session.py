"""HTTP requests with a deadline for the whole of each and a cap on the answer's size: a node that drips
a byte a second, or never stops, fails like one that is not there.

The node's client (`node/runtime/http_client.py`) has such sockets too. Not shared: wallet and node may
both import `chain/` alone, and that does no I/O.
"""

import functools
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError

from wallet.errors import AnswerTooLarge, NodeUnreachable

CONNECT_S = 5.0
_CHUNK = 65_536


class _Deadline:
    """The time by which the call under way has to be over, on the monotonic clock."""

    def __init__(self) -> None:
        self.at = 0.0

    def left(self) -> float:
        """Seconds until then. Raises TimeoutError when there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the node took too long to answer")
        return left


class _TimedSocket(socket.socket):
    """Waits for each piece no longer than until the call's deadline. (A plain timeout starts again
    with every byte.)"""

    deadline: _Deadline

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.deadline.left())
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(self.deadline.left())  # of the whole, for this method
        super().sendall(*args, **kwargs)


class _TimedConnection(HTTPConnection):
    def __init__(self, *args: Any, deadline: _Deadline, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline = deadline

    def connect(self) -> None:
        super().connect()
        plain = self.sock
        timed = _TimedSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
        timed.deadline = self._deadline
        self.sock = timed


class _TimedPool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection

    def __init__(self, *args: Any, deadline: _Deadline, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn_kw["deadline"] = deadline


class _TimedAdapter(HTTPAdapter):
    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        pool = functools.partial(_TimedPool, deadline=self._deadline)
        self.poolmanager.pool_classes_by_scheme = {"http": pool}


class HttpSession:
    """Kept connections to nodes, for one thread."""

    def __init__(self) -> None:
        self._deadline = _Deadline()
        self._session = requests.Session()
        self._session.trust_env = False  # no proxies or credentials from the environment
        self._session.headers.clear()
        self._session.headers.update({"User-Agent": "groat-wallet", "Accept-Encoding": "identity"})
        self._session.mount("http://", _TimedAdapter(self._deadline))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def ask(
        self, method: str, base: str, path: str, content: bytes | None, *, most: int, deadline_s: float
    ) -> tuple[int, bytes]:
        """Status and body of the answer. Raises NodeUnreachable; AnswerTooLarge for a body of over `most` bytes."""
        self._deadline.at = time.monotonic() + deadline_s
        try:
            try:
                return self._once(method, base + path, content, most)
            except requests.ConnectionError:
                # The node may just have closed the connection that we kept: once more, on a new one.
                return self._once(method, base + path, content, most)
        except (requests.Timeout, ReadTimeoutError, TimeoutError) as error:
            raise NodeUnreachable(
                f"the node at {base} takes too long to answer: try again, or another --node"
            ) from error
        except (requests.RequestException, HTTPError, OSError) as error:
            raise _no_answer(base, error) from error

    def _once(self, method: str, url: str, content: bytes | None, most: int) -> tuple[int, bytes]:
        left = self._deadline.left()
        with self._session.request(
            method, url, data=content, stream=True, allow_redirects=False, timeout=(min(CONNECT_S, left), left)
        ) as response:
            parts, size = [], 0
            while part := response.raw.read1(_CHUNK, decode_content=False):
                self._deadline.left()
                size += len(part)
                if size > most:
                    raise AnswerTooLarge(
                        f"an answer of {urlsplit(url).netloc} is over {most} bytes: use another --node"
                    )
                parts.append(part)
            return response.status_code, b"".join(parts)


def _no_answer(base: str, error: Exception) -> NodeUnreachable:
    """The error for a connection that failed."""
    if isinstance(error, requests.exceptions.SSLError):
        if "CERTIFICATE" in str(error):
            return NodeUnreachable(f"the certificate of {base} is not one to trust: check --node")
        return NodeUnreachable(f"{base} does not speak TLS: write http:// and not https://")
    return NodeUnreachable(f"no node answers at {base}: start one (`devnet up` or `groatd`), or give --node URL")
