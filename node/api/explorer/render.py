"""Answers of a route: a whole page, its live part, or an error page."""

from typing import Any

from flask import g, render_template, request

from node.api.context import Call

FRAGMENTS = "/fragments"
"""Prefix of a page's path for its live part alone."""
LIVE_BUSY_RETRY_S = 2


class TroubleError(Exception):
    """An error page, raised."""

    def __init__(self, status: int, kind: str, **facts: Any) -> None:
        """`kind` names a case of templates/trouble.html, `facts` are what it tells."""
        super().__init__(status, kind)
        self.status = status
        self.kind = kind
        self.facts = facts


def current_call() -> Call:
    """The call of this request; the same each time. Raises NotReady."""
    if "call" not in g:
        g.call = request.environ["groat.call"]()
    call: Call = g.call
    return call


def show(name: str, page: Any, *, live: str = "", status: int = 200) -> tuple[str, int]:
    """Page `name` with what is on it, or its live part, if that was asked for.

    `live` names the events that change the page (see static/live.js); empty: nothing does.
    """
    if request.path.startswith(FRAGMENTS + "/"):
        return render_template(f"parts/{name}.html", page=page), 200
    query = f"?{request.query_string.decode('latin-1')}" if request.query_string else ""
    fragment = f"{request.script_root}{FRAGMENTS}{request.path}{query}" if live else ""
    return render_template(f"{name}.html", page=page, part=f"parts/{name}.html", fragment=fragment, live=live), status


def show_trouble(trouble: TroubleError) -> tuple[str, int, dict[str, str]]:
    """The error page."""
    headers = {"Retry-After": str(LIVE_BUSY_RETRY_S)} if trouble.status == 503 else {}
    return render_template("trouble.html", kind=trouble.kind, facts=trouble.facts), trouble.status, headers
