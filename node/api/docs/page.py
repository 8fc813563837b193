"""`GET /docs`: the OpenAPI document as a page to read and to try, in the explorer's look. It loads nothing but
what is tried.

The only module beside the explorer that knows Jinja. rest/description.py imports it with the first request.
"""

import base64
import hashlib
import json
import shlex
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from node.api.docs.openapi import EVERYWHERE, document
from node.api.explorer.mount import EXPLORER
from node.api.http.message import JSON, OCTETS, TEXT
from node.api.rpc.method import Method
from node.api.rpc.table import METHODS

HERE = Path(__file__).parent
SITE = "http://127.0.0.1:18443"
"""The node that examples ask, until the page's script knows where it came from."""
COOKIE = '"$(cat ~/.local/share/groat/regtest/.cookie)"'
EXAMPLE_MAX = 100
"""Characters of an example value that a curl line shows; a longer one is a transaction, and named instead."""
LOOK = HERE.parent / "explorer" / "static"
"""The explorer's style sheet is the first part of this page's, its choice of the theme of the script."""
STYLES = (LOOK / "explorer.css", HERE / "static" / "docs.css")
SCRIPTS = (LOOK / "theme.js", HERE / "static" / "docs.js")
TRIED_MAX = 20_000
"""Characters of an answer that are shown where a call is tried."""


@cache
def page(network: str, name: str) -> tuple[bytes, str]:
    """The page of a node of this network, which may have a name; and the Content-Security-Policy that lets it use
    what it holds, this node, and nothing else."""
    style, script = ("\n".join(path.read_text("utf-8") for path in paths) for paths in (STYLES, SCRIPTS))
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    body = environment.get_template("docs.html").render(
        spec=document(),
        operations=operations(),
        everywhere=EVERYWHERE,
        methods=METHODS,
        rpc_curl=rpc_curl,
        explorer=EXPLORER,
        network=network,
        node=name,
        tried_max=TRIED_MAX,
        rpc_body=rpc_body,
        name_of=lambda ref: ref.rpartition("/")[2],
        style=Markup(style),
        script=Markup(script),
    )
    return body.encode(), policy(style, script)


def policy(style: str, script: str) -> str:
    """Content-Security-Policy of the page: its style, its script, and this node alone."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {digest(style)}",
            f"script-src {digest(script)}",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def digest(content: str) -> str:
    """The hash by which Content-Security-Policy names an inline element."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def operations() -> dict[str, list[dict[str, Any]]]:
    """Operations by topic: those of the document, with method, path and a curl line.

    Paths that differ only in how they name the same thing, or in a last part that may be left out, are one row: the
    one with the most parameters, and the others as its `forms`.
    """
    topics: dict[str, dict[tuple[str, str], list[dict[str, Any]]]] = {}
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            row = {**operation, "method": method.upper(), "path": path, "curl": curl(method, path, operation)}
            row["base"] = "" if "servers" in operation else "/api"
            same = topics.setdefault(operation["tags"][0], {})
            same.setdefault((row["method"], operation["summary"]), []).append(row)
    return {topic: [_joined(rows) for rows in same.values()] for topic, same in topics.items()}


def _joined(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Several operations that do the same, as one."""
    main = max(rows, key=lambda row: len(row.get("parameters", ())))
    forms = sorted((row for row in rows if row is not main), key=lambda row: len(row["path"]))
    return {**main, "forms": forms}


def curl(method: str, path: str, operation: dict[str, Any]) -> str:
    """A line that asks it."""
    query, headers = [], []
    for parameter in operation.get("parameters", ()):
        name, example = parameter["name"], str(parameter["example"])
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", quote(example, safe=""))
        elif parameter["in"] == "header":
            headers.append(f"--header '{name}: {example}'")
        else:
            query.append(f"{name}={example if len(example) <= EXAMPLE_MAX else '$hex'}")
    base = SITE if "servers" in operation else f"{SITE}/api"
    url = f"{base}{path}" + ("?" + "&".join(query) if query else "")
    if "security" in operation:
        return rpc_curl(METHODS[0], url)
    answer = operation["responses"].get("200", {}).get("content", {})
    program = "curl -sN" if "text/event-stream" in answer else "curl -s"
    body = [_BODIES[media] for media in operation.get("requestBody", {}).get("content", {})]
    end = ["--output answer.bin"] if OCTETS in answer else []
    return " ".join([program, *headers, *body, f'"{url}"' if query else url, *end])


def rpc_curl(method: Method, url: str = f"{SITE}/") -> str:
    """A line that calls it, its required parameters by name."""
    return f"curl -s --user {COOKIE} --data {shlex.quote(rpc_body(method))} {url}"


def rpc_body(method: Method) -> str:
    """A call of it, its required parameters by name."""
    params = {arg.name: _SAMPLES.get(arg.kind.split(" or ")[0], "…") for arg in method.args if arg.required}
    body = {"method": method.name, **({"params": params} if params else {}), "id": 1}
    return json.dumps(body, ensure_ascii=False)


_BODIES = {TEXT: '--data "$hex"', JSON: "--data '[\"'$hex'\"]'"}
"""The body of a POST, by its type: a transaction, or an array of such."""
_SAMPLES: dict[str, Any] = {"numeric": 1, "boolean": True, "array": ["…"], "object": {}}
"""Sample values, by the first word of `Arg.kind`."""
