"""JSON-RPC's envelope: credentials, one call or a batch, results and errors, HTTP statuses.

The legacy form always (`result`, `error` and `id`, all three), because it is the one that every
client tried can read, whatever version its request names.
"""

from collections.abc import Callable, Sequence
from typing import Any

from node.api.answers import JSON, Answer, Problem
from node.api.call import Call
from node.api.guard import Credentials
from node.api.jsontext import BadJson, emit, parse
from node.api.lookup import NoIndex
from node.api.rpc.commands import Commands
from node.api.rpc.method import (
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISC,
    PARSE,
    WARMING_UP,
    Method,
    RpcError,
)
from node.api.submission import SubmissionError
from node.runtime import Busy, NotReady

RPC_BODY_MAX = 10_000_000
"""Bytes of a request: a full block in hex, and some."""
BATCH_MAX = 1_000
"""Calls of a batch; a larger one is refused."""
BATCH_REPLY_MAX = 32 * 1024 * 1024
"""Characters of a batch's answers; what comes after is refused."""

_STATUS = {METHOD_NOT_FOUND: 404, INVALID_REQUEST: 400}
_OTHER_STATUS = 500


class RpcServer:
    """Answers JSON-RPC requests by a table of methods."""

    def __init__(self, methods: Sequence[Method], credentials: Credentials, commands: Commands | None = None) -> None:
        """`commands` is told what is under way."""
        self._commands = commands or Commands()
        self._methods = {method.name: method for method in methods}
        self.credentials = credentials

    def answer(self, authorization: str, body: bytes, call: Callable[[], Call]) -> Answer:
        """The answer to a POST. `call` may raise NotReady."""
        if not self.credentials.accept(authorization):
            # No content type, as in Core: python-bitcoinrpc takes an empty JSON body for a broken node.
            return Answer(401, b"", None, (("WWW-Authenticate", 'Basic realm="jsonrpc"'),))
        try:
            request = parse(body)
        except BadJson:
            return _single(*_failure(None, RpcError(PARSE, "Parse error")))
        if isinstance(request, list):
            return self._batch(request, call)
        if not isinstance(request, dict):
            return _single(*_failure(None, RpcError(PARSE, "Top-level object parse error")))
        return _single(*self._one(request, call))

    def _batch(self, requests: list[Any], call: Callable[[], Call]) -> Answer:
        if len(requests) > BATCH_MAX:
            return _single(*_failure(None, RpcError(INVALID_REQUEST, f"Batch of more than {BATCH_MAX} calls")))
        texts = []
        size = 0
        for request in requests:
            if size > BATCH_REPLY_MAX:
                request_id = request.get("id") if isinstance(request, dict) else None
                texts.append(_failure(request_id, RpcError(MISC, "the batch's answers are too large"))[0])
                continue
            texts.append(self._one(request, call)[0])
            size += len(texts[-1])
        return _single("[" + ",".join(texts) + "]", 200)

    def _one(self, request: Any, call: Callable[[], Call]) -> tuple[str, int]:
        """The envelope and its HTTP status."""
        if not isinstance(request, dict):
            return _failure(None, RpcError(INVALID_REQUEST, "Invalid Request object"))
        request_id = request.get("id")
        try:
            return _envelope(self._result(request, call), None, request_id), 200
        except RpcError as error:
            return _failure(request_id, error)

    def _result(self, request: dict[str, Any], call: Callable[[], Call]) -> Any:
        """What the method says. Raises RpcError."""
        name = request.get("method")
        if name is None:
            raise RpcError(INVALID_REQUEST, "Missing method")
        if not isinstance(name, str):
            raise RpcError(INVALID_REQUEST, "Method must be a string")
        try:
            asked = call()
            method = self._methods.get(name)
            if method is None:
                raise RpcError(METHOD_NOT_FOUND, "Method not found")
            with self._commands.running(name):
                return method.answer(asked, *method.bind(request.get("params")))
        except NotReady:
            raise RpcError(WARMING_UP, "The node is starting") from None
        except Busy:
            raise RpcError(MISC, "Too many requests are waiting: try again") from None
        except NoIndex:
            raise RpcError(MISC, "This node runs with --no-index: it cannot answer this") from None
        except SubmissionError as error:
            raise RpcError(error.code, error.reason) from None
        except Problem as problem:
            raise RpcError(MISC, problem.line) from None


def _envelope(answer: Any, error: dict[str, Any] | None, request_id: Any) -> str:
    return emit({"result": answer, "error": error, "id": request_id})


def _failure(request_id: Any, error: RpcError) -> tuple[str, int]:
    status = _STATUS.get(error.code, _OTHER_STATUS)
    return _envelope(None, {"code": error.code, "message": error.message}, request_id), status


def _single(body: str, status: int) -> Answer:
    return Answer(status, (body + "\n").encode(), JSON)
