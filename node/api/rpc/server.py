"""JSON-RPC's server: credentials, one call or a batch, the calls' answers, HTTP statuses.

As Bitcoin Core from version 28 on: a call that names version 2.0 gets that version's form, every other
one the older form, call by call also within a batch; see envelope.py.
"""

from collections.abc import Callable, Sequence
from typing import Any

from node.api.actions.core_errors import DATABASE, INVALID_REQUEST, METHOD_NOT_FOUND, MISC, PARSE, WARMING_UP, RpcError
from node.api.actions.submit_tx import SubmissionError
from node.api.chainless import CHAINLESS_METHODS
from node.api.context import Call
from node.api.encoding.json_codec import BadJson, TooMuchJson, elements, parse
from node.api.http.message import JSON, Problem, Response
from node.api.query.queries import NoIndex
from node.api.routing.auth import Credentials
from node.api.rpc.envelope import OLDER, Envelope, read_envelope
from node.api.rpc.limits import BATCH_MAX, BATCH_REPLY_MAX
from node.api.rpc.method import Method
from node.api.rpc.pace import CallPace
from node.api.rpc.wallet_methods import pointer_for
from node.api.services.active_calls import ActiveCalls
from node.interface.storage import StoreError
from node.runtime.runtime import Busy, NotReady, Runtime

_STATUS = {METHOD_NOT_FOUND: 404, INVALID_REQUEST: 400}
_OTHER_STATUS = 500
_NO_ANSWER = Response(204)
"""Answer to notifications."""
_NO_REQUEST = OLDER.failure(RpcError(INVALID_REQUEST, "Invalid Request object"))
"""The answer to what is no call within a batch."""


class RpcServer:
    """Answers JSON-RPC requests by a table of methods."""

    def __init__(
        self,
        methods: Sequence[Method],
        credentials: Credentials,
        runtime: Runtime,
        commands: ActiveCalls | None = None,
        no_chain: str | None = None,
    ) -> None:
        """`commands` is told what is under way; `no_chain` is why there is no chain to ask about, if so."""
        self._runtime = runtime
        self._no_chain = no_chain
        self._commands = commands or ActiveCalls()
        self._methods = {method.name: method for method in methods}
        self.credentials = credentials

    def answer(self, authorization: str, body: bytes, call: Callable[[], Call], pace: CallPace) -> Response:
        """The answer to a POST. `call` may raise NotReady."""
        if not self.credentials.accept(authorization):
            # No content type, as in Core: python-bitcoinrpc takes an empty JSON body for a broken node.
            return Response(401, b"", None, (("WWW-Authenticate", 'Basic realm="jsonrpc"'),))
        try:
            if body.lstrip(b" \t\r\n")[:1] == b"[":
                return self._batch(body, call, pace)
            request = parse(body)
        except BadJson as error:
            return _refusal(OLDER, _parse_error(error))
        if not isinstance(request, dict):
            return _refusal(OLDER, RpcError(PARSE, "Top-level object parse error"))
        return self._single(request, call)

    def _single(self, request: dict[str, Any], call: Callable[[], Call]) -> Response:
        envelope, fault = read_envelope(request)
        if fault is not None:
            return _refusal(envelope, fault)
        try:
            text = envelope.success(self._result(request, call))
        except RpcError as error:
            if not envelope.is_version_2:
                return _refusal(envelope, error)
            text = envelope.failure(error)
        return _NO_ANSWER if envelope.is_notification else _document(text.encode())

    def _batch(self, body: bytes, call: Callable[[], Call], pace: CallPace) -> Response:
        """All calls in turn, read one by one, once all are known to be JSON. Raises BadJson."""
        count = 0
        for text in elements(body):
            count += 1
            if count > BATCH_MAX:
                return _refusal(OLDER, RpcError(INVALID_REQUEST, f"Batch of more than {BATCH_MAX} calls"))
            parse(text)
            if not pace.go_on():
                return _NO_ANSWER
        answers = bytearray()
        for text in elements(body):
            if not pace.go_on():
                return _NO_ANSWER  # nobody reads it, and nobody wants the rest done
            one = self._one(parse(text), call, carry_out=len(answers) <= BATCH_REPLY_MAX)
            if one:
                answers += b"," if answers else b"["
                answers += one.encode()
        if not answers:
            return _NO_ANSWER if count else _document(b"[]")
        answers += b"]"
        return _document(answers)

    def _one(self, request: Any, call: Callable[[], Call], *, carry_out: bool) -> str:
        """A call's answer within a batch; empty for a notification."""
        if not isinstance(request, dict):
            return _NO_REQUEST
        envelope, fault = read_envelope(request)
        try:
            if fault is not None:
                raise fault
            if not carry_out:
                raise RpcError(MISC, f"Not carried out: the batch's answers exceed {BATCH_REPLY_MAX} bytes")
            text = envelope.success(self._result(request, call))
        except RpcError as error:
            text = envelope.failure(error)
        return "" if envelope.is_notification else text

    def _result(self, request: dict[str, Any], call: Callable[[], Call]) -> Any:
        """Call the method. Raises RpcError."""
        name = request["method"]
        try:
            asked = call()
            method = self._methods.get(name)
            if method is None:
                raise RpcError(METHOD_NOT_FOUND, f"Method not found{pointer_for(name)}")
            if self._no_chain and name not in CHAINLESS_METHODS:
                raise RpcError(MISC, self._no_chain[0].upper() + self._no_chain[1:])
            with self._commands.running(name):
                return method.answer(asked, *method.bind(request.get("params")))
        except NotReady:
            raise self._not_ready() from None
        except StoreError as error:
            self._runtime.fail(error)
            raise self._not_ready() from None
        except Busy as busy:
            raise RpcError(MISC, f"Too many requests are waiting ({busy.most} may): try again") from None
        except NoIndex:
            raise RpcError(MISC, "This node runs with --no-index: it cannot answer this") from None
        except SubmissionError as error:
            raise RpcError(error.code, error.reason) from None
        except Problem as problem:
            raise RpcError(MISC, problem.line) from None

    def _not_ready(self) -> RpcError:
        refusal = self._runtime.refusal
        return RpcError(DATABASE if self._runtime.fault else WARMING_UP, refusal[0].upper() + refusal[1:])


def _parse_error(error: BadJson) -> RpcError:
    """A limit is named: whoever meets it would look for a slip in the text for ever."""
    return RpcError(PARSE, f"Parse error: {error}" if isinstance(error, TooMuchJson) else "Parse error")


def _refusal(envelope: Envelope, error: RpcError) -> Response:
    """An error that has an HTTP status of its own: no request, or a call in the older form that failed."""
    return _document(envelope.failure(error).encode(), _STATUS.get(error.code, _OTHER_STATUS))


def _document(body: bytes | bytearray, status: int = 200) -> Response:
    return Response(status, bytes(body) + b"\n", JSON)
