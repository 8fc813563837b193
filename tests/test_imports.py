"""The dependency rule of ARCHITECTURE.md: who may import whom, and who owns which library."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

import chain

ROOT = Path(__file__).parents[1]
PACKAGES = ("chain", "node", "wallet", "devnet")
MODULES = sorted(path.relative_to(ROOT).as_posix() for package in PACKAGES for path in ROOT.glob(f"{package}/**/*.py"))

MAY_IMPORT = {
    "chain": {"chain"},
    "node": {"node", "chain"},
    "wallet": {"wallet", "chain"},
    "devnet": {"devnet", "wallet", "chain"},
}
COMMAND_LINES = ("*/cli.py", "*/__main__.py", "*/cli/*.py")
OWNERS = {
    "coincurve": ("chain/keys.py",),
    "ecdsa": ("chain/keys.py",),
    "mnemonic": ("wallet/derivation.py",),
    "plyvel": ("node/storage/leveldb.py",),
    "plyvel_next": ("node/storage/leveldb.py",),
    "httptools": ("node/api/http/request_header.py", "node/api/http/request_body.py"),
    "asyncio": ("node/api/http/*",),
    "prometheus_client": ("node/api/rest/prometheus_text.py",),
    "apispec": ("node/api/docs/openapi.py",),
    "jinja2": ("node/api/docs/page.py", "node/api/explorer/*"),
    "flask": ("node/api/explorer/*",),
    "markupsafe": ("node/api/docs/page.py", "node/api/explorer/formatting.py"),
    "werkzeug": ("node/api/explorer/site.py",),
    "segno": ("node/api/explorer/script.py", "wallet/commands.py"),
    "zmq": ("node/notify/zmq_publisher.py",),
    "requests": ("node/runtime/http_client.py", "wallet/http_session.py"),
    "urllib3": ("node/runtime/http_client.py", "wallet/http_session.py"),
    "threading": ("node/runtime/*", "node/workers/verifier_pool.py", "node/api/*", "wallet/client.py"),
    "time": (
        "node/runtime/runtime.py", "node/mining/miner_process.py", "node/runtime/http_client.py", "wallet/client.py",
        "wallet/http_session.py", "devnet/*", *COMMAND_LINES,
    ),
    "datetime": ("node/runtime/runtime.py", "node/api/*", "devnet/*", "wallet/display.py", *COMMAND_LINES),
}
"""Who alone may import a library. `datetime` and `time` stand for reading a clock."""
FOR_CHAIN = {"coincurve", "ecdsa"}
"""Third-party code that a pure package needs; OWNERS says where."""
PURE = {
    "bisect", "collections", "dataclasses", "enum", "functools", "hashlib", "heapq", "hmac", "itertools", "math",
    "operator", "re", "struct", "typing",
}  # fmt: skip
"""The standard library that chain/ may use: nothing that does I/O, reads a clock or draws lots."""


KNOW_THE_DIFFICULTY_RULE = ("chain/params.py", "chain/pow.py")


def tree_of(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(), module)


def imports(tree: ast.Module) -> Iterator[str]:
    """The dotted names that a module imports, `from package import module` as package.module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top_levels(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports(tree_of(module))}


def chain_order() -> list[str]:
    """The modules of chain/ in import order, as its docstring lists them, and the two it builds on."""
    listed = re.search(r"import order:(.*?)\.\s*$", chain.__doc__ or "", re.DOTALL | re.MULTILINE)
    assert listed, "chain/__init__.py does not list its modules"
    names = [name.strip() for name in listed[1].replace("\n", " ").split(",")]
    if "ripemd160" not in names:
        names.insert(names.index("hashes"), "ripemd160")
    return names


@pytest.mark.parametrize("module", MODULES)
def test_packages_import_only_what_they_stand_on(module: str) -> None:
    package = module.split("/", maxsplit=1)[0]
    assert top_levels(module) & {*PACKAGES, "tests"} <= MAY_IMPORT[package]


def test_chain_is_a_total_order() -> None:
    order = chain_order()
    files = {Path(module).stem for module in MODULES if module.startswith("chain/")} - {"__init__"}
    assert set(order) >= files, "a module that the docstring of chain/ does not place"
    for position, name in enumerate(order):
        if name not in files:
            continue
        used = {used.split(".")[1] for used in imports(tree_of(f"chain/{name}.py")) if used.startswith("chain.")}
        assert used <= set(order[:position]), f"chain/{name}.py imports what comes after it"


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("chain/")])
def test_chain_is_pure(module: str) -> None:
    tree = tree_of(module)
    assert top_levels(module) <= {"chain"} | PURE | FOR_CHAIN
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"open", "print", "input", "exec", "eval", "breakpoint", "__import__"}


@pytest.mark.parametrize("module", MODULES)
def test_one_owner_per_library(module: str) -> None:
    for library in top_levels(module) & set(OWNERS):
        assert any(fnmatch(module, owner) for owner in OWNERS[library]), f"{library} belongs to {OWNERS[library]}"


@pytest.mark.parametrize("module", MODULES)
def test_no_hidden_state_or_import(module: str) -> None:
    tree = tree_of(module)
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Global), f"line {node.lineno}: global"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inner = [child for child in ast.walk(node) if isinstance(child, ast.Import | ast.ImportFrom)]
            assert not inner, f"line {inner[0].lineno}: import inside a function"
        if isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            assert name != "TYPE_CHECKING", f"line {node.lineno}: TYPE_CHECKING"


@pytest.mark.parametrize("module", [module for module in MODULES if module not in KNOW_THE_DIFFICULTY_RULE])
def test_a_new_difficulty_rule_is_nobody_elses_business(module: str) -> None:
    """What follows headers, or mines, hands the schedule on and asks the parameters what they aim at."""
    attributes = {node.attr for node in ast.walk(tree_of(module)) if isinstance(node, ast.Attribute)}
    assert not attributes & {"asert", "start_time", "idle_s", "gap_cap_s", "anchor_height"}


def test_every_module_can_be_imported() -> None:
    """On this Python, with what is installed for it, and without a warning."""
    names = [module.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for module in MODULES]
    program = f"import {', '.join(names)}"
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")


def test_every_owner_exists() -> None:
    """A pattern that fits no file would allow nothing and guard nothing."""
    single = {owner for owners in OWNERS.values() for owner in owners if "*" not in owner}
    assert single <= set(MODULES)
