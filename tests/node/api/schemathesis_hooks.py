"""What schemathesis is told beyond the document: values that this node knows, and what would end it.

`schemathesis run` imports this (the configuration's `hooks`); GROAT_KNOWN is JSON: format -> values.
"""

import json
import os
from typing import Any

import schemathesis
from hypothesis import strategies as st

from tests.node.api.stocked import STREAM

HARMFUL = ("stop", "generate", "invalidateblock", "setmocktime", "wait", "addnode")
"""Beginnings of methods that end the node, move it away from what is known, or take their time."""

HEX64 = st.text("0123456789abcdef", min_size=64, max_size=64)
OTHERS: dict[str, st.SearchStrategy[str]] = {
    "bitcoin-address": st.just("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"),
    "number": st.integers(0, 2**64).map(str) | st.text(min_size=1),
    "transaction-hex": st.binary().map(bytes.hex),
}
"""Values that the node need not know, by format; hashes if it is not here."""


def of_format(known: list[str], others: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """By turns what the node knows and what it does not: both are among few examples."""
    return st.booleans().flatmap(lambda is_other: others if is_other else st.sampled_from(known))


for name, known in json.loads(os.environ["GROAT_KNOWN"]).items():
    schemathesis.openapi.format(name, of_format(known, OTHERS.get(name, HEX64)))


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Leave out what would do harm, and the examples: it would take them instead of what this node knows."""
    for methods in raw_schema["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                parameter.pop("example", None)
    calls = raw_schema["components"]["schemas"]["RpcCall"]
    calls["anyOf"] = [ref for ref in calls["anyOf"] if not ref["$ref"].rpartition(".")[2].startswith(HARMFUL)]
    assert calls["anyOf"]
    if not os.environ.get("GROAT_SCHEMATHESIS"):
        del raw_schema["paths"]["/wallet/{wallet}"]  # the same as at /, and slow
    for path, methods in list(raw_schema["paths"].items()):
        if STREAM in methods.get("get", {}).get("responses", {}).get("200", {}).get("content", {}):
            del raw_schema["paths"][path]
