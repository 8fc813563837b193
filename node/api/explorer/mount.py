"""The explorer's mount in the listener: the requests that are its, and the making of its pages.

Flask comes with the first page, not with the node: it takes a quarter of a second and some 15 MB.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

from node.api.context import Call
from node.api.http.message import Request, Response

EXPLORER = "/explorer/"
"""Path of the pages; `GET /` leads there."""
SITE = "node.api.explorer.site"
"""Imported with the first page; it has `answer`."""

ICON = "/favicon.ico"
"""Path that browsers ask for by themselves."""
_ICON_FILE = Path(__file__).parent / "static" / "favicon.ico"
_ICON_AGE = ("Cache-Control", "public, max-age=86400")

Pages = Callable[[Request, Callable[[], Call]], Response]


def icon() -> Response:
    """The explorer's icon, without the explorer."""
    return Response(200, _ICON_FILE.read_bytes(), "image/x-icon", (_ICON_AGE,))


class Explorer:
    """The pages, made when the first one is asked for."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pages: Pages | None = None

    @staticmethod
    def takes(request: Request) -> bool:
        """True if the request is for a page, or for something that belongs to one."""
        is_below = request.path == EXPLORER.rstrip("/") or request.path.startswith(EXPLORER)
        return is_below and request.method in ("GET", "HEAD")

    def answer(self, request: Request, call: Callable[[], Call]) -> Response:
        """The page. `call` is taken only by those that need the node. Raises StoreError."""
        with self._lock:
            if self._pages is None:
                site: Any = import_module(SITE)
                self._pages = site.make_pages(EXPLORER)
        return self._pages(request, call)
