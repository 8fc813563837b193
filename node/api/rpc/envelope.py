"""JSON-RPC's two forms: version 2.0's, and the older one of requests that do not name it.

As Bitcoin Core from version 28 on. In the older form `result`, `error` and `id` are all there; in 2.0's only
one of `result` and `error`, and a call without an `id` is a notification, which is not answered.
"""

from typing import Any, Final

from chain.frozen import value
from node.api.actions.core_errors import INVALID_REQUEST, RpcError
from node.api.encoding.json_codec import emit

VERSION_2: Final = "2.0"
OLDER_VERSIONS: Final = ("1.0", 1, None)
"""Versions that a request may name besides; None: nothing. The number is what the npm package rpc-bitcoin
sends, and has no other meaning; Core refuses it."""


@value
class Envelope:
    """The form of the answer to one call."""

    is_version_2: bool
    request_id: Any
    """Comes back in the answer."""
    is_notification: bool

    def success(self, answer: Any) -> str:
        """The answer of a call that succeeded."""
        return emit(self._versioned({"result": answer} if self.is_version_2 else {"result": answer, "error": None}))

    def failure(self, error: RpcError) -> str:
        """The answer of one that failed, or was none."""
        told = {"code": error.code, "message": error.message}
        return emit(self._versioned({"error": told} if self.is_version_2 else {"result": None, "error": told}))

    def _versioned(self, content: dict[str, Any]) -> dict[str, Any]:
        if not self.is_version_2:
            return {**content, "id": self.request_id}
        # Only what was no call is answered without an id.
        named = {} if self.is_notification else {"id": self.request_id}
        return {"jsonrpc": VERSION_2, **content, **named}


OLDER: Final = Envelope(is_version_2=False, request_id=None, is_notification=False)
"""Envelope of the answer to what was no call at all."""


def read_envelope(request: dict[str, Any]) -> tuple[Envelope, RpcError | None]:
    """The form of the answer to a request, and why it is not a call, if it is not."""
    request_id, version = request.get("id"), request.get("jsonrpc")
    is_version_2 = version == VERSION_2
    envelope = Envelope(is_version_2, request_id, is_version_2 and "id" not in request)
    return envelope, _fault(version, request.get("method"), request.get("params"))


def _fault(version: Any, method: Any, params: Any) -> RpcError | None:
    words = None
    if version != VERSION_2 and (isinstance(version, bool) or version not in OLDER_VERSIONS):
        is_text = isinstance(version, str)
        words = "JSON-RPC version not supported" if is_text else "jsonrpc field must be a string"
    elif method is None:
        words = "Missing method"
    elif not isinstance(method, str):
        words = "Method must be a string"
    elif not isinstance(params, list | dict | None):
        words = "Params must be an array or object"
    return None if words is None else RpcError(INVALID_REQUEST, words)
