"""The rules of the source tree: each can fail, and the tree keeps them all."""

from pathlib import Path

import pytest

from tests.house import RULES, Tree, breaches, components, main

LONG = "def work():\n" + "    step()\n" * 60
BROKEN = {
    "lies in no room": {"node/odd.py": ""},
    "has no rank": {"node/attic/box.py": ""},
    "mempool imports core, which stands above it": {
        "node/mempool/pool.py": "from node.core.node import Node\n",
        "node/core/node.py": "",
    },
    "modules in a circle": {
        "chain/a.py": "import chain.b\n",
        "chain/b.py": "import chain.c\n",
        "chain/c.py": "import chain.a\n",
    },
    "node/api: rest <-> rpc: rooms in a circle": {
        "node/api/rest/a.py": "from node.api.rpc.a import x\n",
        "node/api/rest/b.py": "",
        "node/api/rpc/a.py": "",
        "node/api/rpc/b.py": "from node.api.rest import b\n",
    },
    "the class Entry is defined at wallet/b.py:1 too": {
        "wallet/a.py": "class Entry: ...\n",
        "wallet/b.py": "class Entry: ...\n",
    },
    "work has 61 lines": {"devnet/a.py": LONG},
    "401 lines": {"chain/long.py": "x = 1\n" * 401},
    "parse has Any in its signature": {
        "node/core/a.py": "async def parse(given: 'dict[str, Any]') -> None: ...\n",
    },
    "tree is imported as forest": {"chain/a.py": "from chain.b import tree as forest\n", "chain/b.py": ""},
    "a banner comment": {"wallet/a.py": "# --- coins ----\n"},
}  # fmt: skip
WHOLE = {
    "node/cli.py": "import node.daemon\n",
    "node/daemon.py": "from node.core.node import Node\nimport json as codec\n",
    "node/core/node.py": "from typing import Any\n\nclass Node:\n    cache: Any = None  # a comment\n",
    "chain/long.py": "x = 1\n" * 400,
}


def tree_of(folder: Path, files: dict[str, str]) -> Tree:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(folder)


@pytest.mark.parametrize("breach", BROKEN)
def test_each_rule_can_fail(breach: str, tmp_path: Path) -> None:
    [found] = breaches(tree_of(tmp_path, BROKEN[breach]))
    assert breach in found


def test_a_tree_that_keeps_them(tmp_path: Path) -> None:
    assert breaches(tree_of(tmp_path, WHOLE)) == []


def test_circles_are_found_whole() -> None:
    graph = {"a": {"b"}, "b": {"c", "x"}, "c": {"a"}, "x": {"y"}, "y": {"x"}, "z": {"a"}}
    assert components(graph) == [["a", "b", "c"], ["x", "y"]]


def test_the_tree_keeps_the_rules(capsys: pytest.CaptureFixture[str]) -> None:
    status = main([])
    said = capsys.readouterr().out
    assert status == 0, said
    assert said.startswith("0 breaches")


def test_the_rules_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rules"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(RULES)
