"""A client of one node: JSON-RPC with its cookie, and plain GETs. No retries, no state.

`http.client` as it is: the nodes are the operator's own, and none of them drips. Nothing of `node/` is
imported, so that what a devnet needs to know of a node is what anybody can: its API.
"""

import base64
import http.client
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devnet.state import DevnetError

REPLY_BYTES_MAX = 64 * 1024 * 1024
TIMEOUT_S = 10.0
"""Time for a connection, and for each wait on it."""
WARMING_UP = -28
"""Bitcoin Core's code for a node that is still starting."""


class Unreachable(DevnetError):
    """The node does not answer, or not yet."""


class NodeRpcError(DevnetError):
    """An error that the node answered with."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        """One of Bitcoin Core's error codes."""


class NodeClient:
    """One node's HTTP API."""

    def __init__(self, address: str, cookie: Path, timeout_s: float = TIMEOUT_S) -> None:
        self._address = address
        self._cookie = cookie
        self._timeout_s = timeout_s

    def get(self, path: str) -> str:
        """The body of a GET. Raises Unreachable, also for any status but 200."""
        status, body = self._request("GET", path, None, {})
        if status != http.client.OK:
            raise Unreachable(f"http://{self._address}{path}: {status} {body.strip()[:200]}")
        return body

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call. Raises NodeRpcError, Unreachable."""
        return self.batch([(method, params)])[0]

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Many calls in one request, their results in order. Raises NodeRpcError for the first that fails."""
        results = self.answers(calls)
        for result in results:
            if isinstance(result, NodeRpcError):
                raise result
        return results

    def answers(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """The results, with a NodeRpcError in the place of each failed call. Raises Unreachable, NodeRpcError."""
        requests = [{"id": i, "method": method, "params": list(params)} for i, (method, params) in enumerate(calls)]
        status, body = self._request("POST", "/", json.dumps(requests), self._authorization())
        try:
            replies = json.loads(body)
        except ValueError:
            raise Unreachable(f"http://{self._address}: {status} {body.strip()[:200]}") from None
        if isinstance(replies, dict):  # a refusal of the whole batch
            raise NodeRpcError(replies["error"]["code"], replies["error"]["message"])
        return [
            NodeRpcError(reply["error"]["code"], reply["error"]["message"]) if reply["error"] else reply["result"]
            for reply in replies
        ]

    def _authorization(self) -> dict[str, str]:
        try:
            credentials = self._cookie.read_bytes().strip()
        except OSError:
            raise Unreachable(f"{self._cookie}: no credentials: the node is not running") from None
        return {"Authorization": "Basic " + base64.b64encode(credentials).decode()}

    def _request(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self._address, timeout=self._timeout_s)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read(REPLY_BYTES_MAX).decode()
        except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
            raise Unreachable(f"http://{self._address} does not answer: {error}") from None
        finally:
            connection.close()
