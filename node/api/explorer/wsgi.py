"""A request of the listener through a WSGI application: PEP 3333, in memory."""

import io
import sys
from collections.abc import Iterable
from typing import Any

from node.api.http.message import Request, Response

SERVERS_OWN = frozenset({"content-length", "content-type", "connection", "date", "server", "transfer-encoding"})
"""Headers that the listener sets, or that a Response has a field for."""


def ask(app: Any, request: Request, mount: str, **more: Any) -> Response:
    """The answer of `app`, which is mounted at `mount` (no slash at its end), to a GET or HEAD.

    `more` goes into the environment under `groat.<name>`.
    """
    environ = {
        # The listener leaves a body out by itself where one only asks for the head.
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": mount,
        "PATH_INFO": request.path[len(mount) :].encode().decode("latin-1"),
        "QUERY_STRING": request.query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": request.client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    environ.update({f"HTTP_{name}": text for name, text in request.headers.items()})
    environ.update({f"groat.{name}": what for name, what in more.items()})
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
        begun.append((status, headers))
        return None

    chunks: Iterable[bytes] = app(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        if (close := getattr(chunks, "close", None)) is not None:
            close()
    status, headers = begun[-1]
    content = next((text for name, text in headers if name.lower() == "content-type"), None)
    others = tuple((name, text) for name, text in headers if name.lower() not in SERVERS_OWN)
    return Response(int(status[:3]), body, content, others)
