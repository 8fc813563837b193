"""The OpenAPI 3.1 document of the API, made from the tables that route and check requests.

The only module that knows apispec. rest/description.py imports it with the first request.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from typing import Any

from apispec import APISpec

from node.api.chainless import CHAINLESS_STATUS, LIGHT, TRACKER
from node.api.docs import openapi_rpc
from node.api.docs.parameters import PARAMETERS
from node.api.docs.schemas import SCHEMAS, Schema, described, ref
from node.api.encoding.json_codec import emit
from node.api.explorer.mount import EXPLORER
from node.api.http.message import JSON, TEXT
from node.api.rest.table import CHAIN_ROUTES, ROUTES
from node.api.routing.dispatcher import NO_INDEX
from node.api.routing.route import BAD_VALUE, OTHER_NETWORK, PREFIXES, ParamType, Route
from node.runtime.runtime import DAMAGED

INTRODUCTION = f"""Esplora's REST at `/…` and `/api/…`, and Bitcoin Core's JSON-RPC at `POST /`.

Hashes are hex in display order (reversed), amounts integers of satoshis; JSON-RPC alone has coins with 8 decimals.
Every GET answers HEAD too. Any other path is answered with 404 and `endpoint does not exist "<path>"`.
Errors are one line of `{TEXT}`; a request that is not HTTP gets 400. A request's Content-Type makes no difference."""
ONLY_ROOT = [{"url": "/", "description": "Not under /api."}]
EVERYWHERE: dict[int, tuple[str, str, str]] = {
    403: ("Forbidden", "Called by a name or from an origin that is not allowed (--allow-host, --cors-origin).", ""),
    408: ("RequestTimeout", "The request did not arrive in time.", ""),
    413: ("ContentTooLarge", "The body is larger than this takes.", "body over 1024 bytes"),
    415: ("UnsupportedEncoding", "The body is compressed.", "Content-Encoding other than identity"),
    431: ("HeaderTooLarge", "The request's header is too large.", "header too large"),
    500: ("Stopping", "What is stored is damaged, or the node has another fault: start it again.", DAMAGED),
    501: ("NotImplemented", "A Transfer-Encoding other than chunked.", ""),
    503: ("Unavailable", "The node starts or has too much to do: come again.", "the node is starting: come again"),
}
"""Answers that any request may get, by status: name, meaning, an example's line."""
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


@cache
def document_bytes() -> bytes:
    """The document as it is sent."""
    return emit(document()).encode()


@cache
def document() -> dict[str, Any]:
    """The document. Nobody may change it."""
    spec = APISpec(
        "groat",
        version("groat"),
        "3.1.0",
        info={"description": INTRODUCTION, "license": {"name": "MIT", "identifier": "MIT"}},
        servers=[{"url": prefix or "/"} for prefix in PREFIXES],
        tags=[{"name": tag} for tag in dict.fromkeys([*map(tag_of, ROUTES), openapi_rpc.TAG])],
    )
    for name, schema in (*SCHEMAS.items(), *openapi_rpc.schemas()):
        spec.components.schema(name, schema)
    for status, (name, words, line) in EVERYWHERE.items():
        more = {"headers": RETRY_AFTER} if status == 503 else {}
        spec.components.response(name, {**_problem(words, [line] if line else []), **more})
    spec.components.security_scheme("basic", {"type": "http", "scheme": "basic", "description": openapi_rpc.LOGIN})
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in ROUTES:
        paths[path_of(route)][route.method.lower()] = operation(route)
    paths["/"] = {"get": _front_page(), "post": openapi_rpc.operation(everywhere())}
    paths["/wallet/{wallet}"] = {"post": openapi_rpc.operation(everywhere(), wallet=True)}
    for path in ("/", "/wallet/{wallet}"):
        for found in paths[path].values():
            found["servers"] = ONLY_ROOT
    for path, operations in paths.items():
        spec.path(path, operations=operations)
    return spec.to_dict()


def everywhere() -> dict[str, Any]:
    """Errors that any request may be answered with, by status."""
    return {str(status): ref_to(name) for status, (name, *_) in EVERYWHERE.items()}


def ref_to(name: str) -> Schema:
    """The response of that name."""
    return {"$ref": f"#/components/responses/{name}"}


def path_of(route: Route) -> str:
    """The path as OpenAPI writes it."""
    return re.sub(r":(\w+)", r"{\1}", route.path)


def tag_of(route: Route) -> str:
    """The topic of a route: the module that answers it."""
    return route.answer.__module__.rpartition(".")[2].removeprefix("esplora_")


def operation(route: Route) -> dict[str, Any]:
    """One method of one path."""
    described_so: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", route.method.lower() + route.path),
        "tags": [tag_of(route)],
        "summary": route.summary,
        "parameters": [_parameter(name, kind, "path") for name, kind in route.params.items()]
        + [_parameter(name, kind, "query") for name, kind in route.query.items()]
        + [_header(name, words) for name, words in route.headers.items()],
        "responses": _responses(route),
    }
    if route.takes:
        media = TEXT if SCHEMAS[route.takes]["type"] == "string" else JSON
        described_so["requestBody"] = {
            "required": True,
            "description": f"At most {route.body_max} bytes, of any Content-Type.",
            "content": {media: {"schema": ref(route.takes)}},
        }
    return described_so


def _parameter(name: str, kind: ParamType, place: str) -> dict[str, Any]:
    schema, words, example = PARAMETERS[kind]
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": words,
        "schema": schema,
        "example": example,
    }


def _header(name: str, words: str) -> dict[str, Any]:
    schema, _, example = PARAMETERS[ParamType.NUMBER]
    return {"name": name, "in": "header", "description": words, "schema": schema, "example": example}


def _responses(route: Route) -> dict[str, Any]:
    schema = ref(route.schema) if route.schema else {"type": "string"}
    responses: dict[str, Any] = {"200": {"description": route.summary, "content": {route.content: {"schema": schema}}}}
    lines: dict[int, list[str]] = defaultdict(list)
    for kind in (*route.params.values(), *route.query.values()):
        if kind in BAD_VALUE:
            lines[400].append(BAD_VALUE[kind])
        if kind is ParamType.ADDRESS:
            lines[400].append(OTHER_NETWORK)
    for status, line in (*route.errors, *([NO_INDEX] if _asks_index(route) else ())):
        lines[status].append(line)
    if route.params:  # a piece that is empty, or has a slash in it, makes it another path
        lines[404].append('endpoint does not exist "<path>"')
    if route in CHAIN_ROUTES:
        lines[CHAINLESS_STATUS] += [TRACKER, LIGHT, EVERYWHERE[CHAINLESS_STATUS][1]]
    if 500 in lines:
        lines[500].append(DAMAGED)
    for status, found in lines.items():
        responses[str(status)] = _problem(" / ".join(dict.fromkeys(found)), found)
    return dict(sorted({**everywhere(), **responses}.items()))


def _asks_index(route: Route) -> bool:
    """True if --no-index can make it refuse."""
    return route.needs_index or ParamType.TXID in route.params.values()


def _problem(words: str, lines: Iterable[str]) -> dict[str, Any]:
    """An answer of one line of text."""
    media: dict[str, Any] = {"schema": {"type": "string"}}
    if examples := {re.sub(r"\W+", "_", line).strip("_"): {"value": line} for line in lines}:
        media["examples"] = examples
    return {"description": words, "content": {TEXT: media}}


def _front_page() -> dict[str, Any]:
    return {
        "operationId": "get_",
        "tags": ["description"],
        "summary": "Leads to the block explorer.",
        "responses": {
            "302": {
                "description": "To the block explorer.",
                "headers": {"Location": {"schema": described({"const": EXPLORER}, "Where it is.")}},
            },
            **everywhere(),
        },
    }
