"""Answers that caches keep: an entity tag, "not modified", and one range of the bytes (RFC 9110, 13 and 14)."""

import re

from node.api.http.message import IMMUTABLE, Problem, Request, Response

_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")


def immutable(request: Request, answer: Response, tag: str) -> Response:
    """An answer that `tag` names for ever, or as much of it as is asked for. Raises Problem(416)."""
    quoted = f'"{tag}"'
    known = {one.strip().removeprefix("W/") for one in request.header("IF_NONE_MATCH").split(",")}
    named = (*answer.headers, ("ETag", quoted), ("Cache-Control", IMMUTABLE), ("Accept-Ranges", "bytes"))
    if quoted in known or "*" in known:
        return Response(304, headers=named)
    body = answer.body
    span = None
    if request.method == "GET" and request.header("IF_RANGE") in ("", quoted):
        span = _span(request.header("RANGE"), len(body))
    if span is None:
        return Response(answer.status, body, answer.content_type, named)
    first, end = span
    where = ("Content-Range", f"bytes {first}-{end - 1}/{len(body)}")
    return Response(206, body[first:end], answer.content_type, (*named, where))


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """First byte and the one behind the last; None: all, which is also what nonsense and several ranges get."""
    match = _RANGE.fullmatch(asked)
    if match is None or match[0] == "bytes=-":
        return None
    if not match[1]:
        first, end = max(0, size - int(match[2])), size
    else:
        first, end = int(match[1]), min(size, int(match[2] or size) + 1)
        if match[2] and int(match[2]) < first:
            return None
    if first >= size:
        raise Problem(416, "range not satisfiable", [("Content-Range", f"bytes */{size}")])
    return first, end
