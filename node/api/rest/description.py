"""The API's description of itself: OpenAPI 3.1 for programs, a page for people, both made from the tables.

What makes them is imported with the first request: it takes libraries (4 MB, 0.3 s) that a node whose description
nobody asks for has no use for. Both are made once.
"""

from importlib import import_module

from node.api.context import Call
from node.api.http.message import JSON, Response
from node.api.routing.route import Route

HTML = "text/html; charset=utf-8"
OPENAPI = "node.api.docs.openapi"
DOCS = "node.api.docs.page"


def openapi(call: Call) -> Response:
    """This API as an OpenAPI 3.1 document."""
    return Response(200, import_module(OPENAPI).document_bytes(), JSON)


def docs(call: Call) -> Response:
    """This API as a page to read and to try, which needs nothing from elsewhere."""
    body, policy = import_module(DOCS).page(call.config.params.name, call.config.name)
    return Response(200, body, HTML, (("Content-Security-Policy", policy),))


ROUTES = (
    Route("GET", "/openapi.json", openapi, JSON, "OpenApi"),
    Route("GET", "/docs", docs, HTML),
)
"""About the API itself."""
