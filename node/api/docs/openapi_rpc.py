"""JSON-RPC in the OpenAPI document: the envelope, and what each method takes, from the table of methods."""

from collections.abc import Iterator
from typing import Any

from node.api.docs.schemas import Schema, array, closed, described, ref
from node.api.http.message import JSON
from node.api.rpc.envelope import VERSION_2
from node.api.rpc.limits import BATCH_MAX, RPC_BODY_MAX
from node.api.rpc.method import Arg, Method
from node.api.rpc.table import METHODS

TAG = "json-rpc"
LOGIN = "The content of `.cookie` in the node's folder, or `--rpc-user` and `--rpc-password`."
TYPES: dict[str, Schema] = {
    "string": {"type": "string"},
    "numeric": {"type": "number"},
    "boolean": {"type": "boolean"},
    "array": {"type": "array"},
    "object": {"type": "object"},
    "any": {},
}
"""Schemas of parameters, by the words of `Arg.kind`."""
_ERROR = closed(
    "What went wrong, in Bitcoin Core's codes.", {"code": {"type": "integer"}, "message": {"type": "string"}}
)
_STATUSES = {
    "200": "The call's answer; of a batch, and of a call in version 2.0, also where it failed.",
    "400": "No valid request (-32600).",
    "404": "No such method (-32601), of a call in the older form.",
    "500": "The call in the older form failed, or the body is no JSON (-32700); with -20 what is stored is damaged.",
}


def schemas() -> Iterator[tuple[str, Schema]]:
    """Envelopes, and a call of each method."""
    yield "RpcError", _ERROR
    result, request_id = described({}, "What the method says; null with an error."), described({}, "The request's.")
    older = {"result": result, "error": {"anyOf": [ref("RpcError"), {"type": "null"}]}, "id": request_id}
    yield "RpcOlderAnswer", closed("An answer to a call without a version; all three keys are always there.", older)
    version = described({"const": VERSION_2}, "Version 2.0 is answered in its form.")
    succeeded = {"jsonrpc": version, "result": result, "id": request_id}
    yield "RpcSuccess", closed("An answer in version 2.0.", succeeded)
    failed = {"jsonrpc": version, "error": ref("RpcError")}
    yield "RpcFailure", closed("A failure in version 2.0.", failed, {"id": request_id})
    forms = [ref("RpcOlderAnswer"), ref("RpcSuccess"), ref("RpcFailure")]
    yield "RpcAnswer", {"anyOf": forms, "description": "An answer, in the form of the version that the call names."}
    yield "RpcCall", {"anyOf": [ref(_name(method)) for method in METHODS], "description": "A call of a method."}
    yield "RpcBatch", {**array(ref("RpcCall"), BATCH_MAX), "description": "Calls, answered in the same order."}
    for method in METHODS:
        yield _name(method), call_schema(method)


def call_schema(method: Method) -> Schema:
    """A call of one method. Unknown keys beside these are overlooked."""
    needs = ["params"] if any(arg.required for arg in method.args) else []
    return {
        "type": "object",
        "title": method.usage,
        "description": method.summary,
        "properties": {
            "method": {"const": method.name},
            "params": _params(method),
            "id": described({}, "Comes back in the answer; without it a call in version 2.0 is not answered."),
            "jsonrpc": described({"enum": ["1.0", VERSION_2]}, "The version whose form the answer has."),
        },
        "required": ["method", *needs],
    }


def _params(method: Method) -> Schema:
    """Schema of a method's parameters, in order or by name."""
    required = [arg.name for arg in method.args if arg.required]
    in_order: Schema = {
        "type": "array",
        "maxItems": len(method.args),
        "minItems": max((n for n, arg in enumerate(method.args, 1) if arg.required), default=0),
    }
    if method.args:
        in_order["prefixItems"] = [_argument(arg) for arg in method.args]
    named = {name: _argument(arg) for arg in method.args for name in (arg.name, *arg.aliases)}
    leading = {"args": {"type": "array", "description": "Leading parameters in order."}}
    by_name: Schema = {"type": "object", "properties": {**named, **leading}, "additionalProperties": False}
    if required:
        by_name["anyOf"] = [{"required": required}, {"required": ["args"]}]
    return {"anyOf": [in_order, by_name]}


def _argument(arg: Arg) -> Schema:
    kinds = [TYPES[word] for word in arg.kind.split(" or ")]
    if {} in kinds:
        return {"title": arg.name}
    types = [kind["type"] for kind in kinds] + ([] if arg.required else ["null"])
    return {"title": arg.name, "type": types[0] if len(types) == 1 else types}


def _name(method: Method) -> str:
    return f"rpc.{method.name}"


def operation(everywhere: dict[str, Any], *, wallet: bool = False) -> dict[str, Any]:
    """`POST /`, or the same at a wallet's path; `everywhere` is what any request may be answered with."""
    answer = {JSON: {"schema": ref("RpcAnswer")}}
    batch = {JSON: {"schema": {"anyOf": [ref("RpcAnswer"), array(ref("RpcAnswer"), BATCH_MAX)]}}}
    made: dict[str, Any] = {
        "operationId": "post_wallet" if wallet else "post_",
        "tags": [TAG],
        "summary": "The same for clients that name a wallet." if wallet else "JSON-RPC: a call, or a batch of calls.",
        "description": "As Bitcoin Core from version 28 on: version 2.0 for a call that names it, the older form else.",
        "security": [{"basic": []}],
        "requestBody": {
            "required": True,
            "description": f"At most {RPC_BODY_MAX} bytes, of any Content-Type.",
            "content": {JSON: {"schema": {"anyOf": [ref("RpcCall"), ref("RpcBatch")]}}},
        },
        "responses": {
            **everywhere,
            **{
                status: {"description": words, "content": batch if status == "200" else answer}
                for status, words in _STATUSES.items()
            },
            "204": {"description": "Only notifications: calls in version 2.0 without an id."},
            "401": {
                "description": "Without the right login; the body is empty.",
                "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
            },
        },
    }
    if wallet:
        made["parameters"] = [
            {
                "name": "wallet",
                "in": "path",
                "required": True,
                "description": "Any name; it makes no difference.",
                "schema": {"type": "string", "minLength": 1},
                "example": "any",
            }
        ]
    return made
