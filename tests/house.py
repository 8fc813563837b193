"""Rules of the source tree: what lies where, what imports what, how large a piece may be. `scripts/house` shows them.

The order of rooms, ground up: a room imports those before it, and its neighbours of the same rank without a circle.
"""

import argparse
import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("chain", "node", "wallet", "devnet", "scripts")
LOOSE = frozenset({"__init__", "__main__", "cli", "daemon", "config", "logs", "ledger_tools", "secret_files"})
"""Modules that may lie in the root of node/."""
RANKS: tuple[frozenset[str], ...] = tuple(
    map(
        frozenset,
        (
            {"interface", "workers", "logs", "secret_files"},
            {"storage", "chainstate", "mempool"},
            {"p2p"},
            {"core"},
            {"runtime"},
            {"mining", "blockfilter", "notify", "descriptors"},
            {"config"},
            {"api", "ledger_tools"},
            {"daemon"},
            {"cli", "__main__", "__init__"},
        ),
    )
)
"""Rooms of node/, and its loose modules, ground up."""
FLOORS = ("node", "node/p2p", "node/api")
"""Packages whose rooms import one another without a circle."""
FUNCTION_LINES_MAX, FILE_LINES_MAX = 60, 400
TYPED = ("node/p2p/", "node/core/", "node/interface/", "node/chainstate/")
"""Packages whose signatures name no Any."""
BANNER = re.compile(r"^\s*#\s*[-=#*~_]{2,}")


class Tree:
    """The product's modules, parsed."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root

    @cached_property
    def modules(self) -> dict[str, ast.Module]:
        """Each module by its path from the root."""
        paths = sorted(path for package in PACKAGES for path in self.root.glob(f"{package}/**/*.py"))
        return {path.relative_to(self.root).as_posix(): ast.parse(path.read_text("utf-8")) for path in paths}

    @cached_property
    def imports(self) -> dict[str, dict[str, int]]:
        """The modules that each module imports, with the line of the first import; type checkers' own left out."""
        return {path: dict(self._imported(tree)) for path, tree in self.modules.items()}

    def _imported(self, tree: ast.Module) -> Iterator[tuple[str, int]]:
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                for path in (f"{name.replace('.', '/')}.py", f"{name.replace('.', '/')}/__init__.py"):
                    if path in self.modules:
                        yield path, getattr(node, "lineno", 0)

    def functions(self) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """Every function and method, with its module."""
        for path, tree in self.modules.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield path, node


def loose_files(tree: Tree) -> Iterator[str]:
    """Files in the root of node/ that belong into one of its rooms."""
    for path in tree.modules:
        folder, _, name = path.rpartition("/")
        if folder == "node" and name.removesuffix(".py") not in LOOSE:
            yield f"{path}: lies in no room"


def upward_imports(tree: Tree) -> Iterator[str]:
    """Imports against the order of rooms."""
    rank = {room: number for number, rooms in enumerate(RANKS) for room in rooms}
    for path, imported in tree.imports.items():
        own = room_of(path, "node")
        for other, line in imported.items():
            their = room_of(other, "node")
            if own and their and rank.get(own, -1) < rank.get(their, -1):
                yield f"{path}:{line}: {own} imports {their}, which stands above it"


def unplaced_rooms(tree: Tree) -> Iterator[str]:
    """Rooms of node/ that have no rank."""
    ranked = frozenset().union(*RANKS)
    for path in tree.modules:
        room = room_of(path, "node")
        if room and room not in ranked and room + ".py" != path.removeprefix("node/"):
            yield f"{path}: the room {room} has no rank"


def circles(tree: Tree) -> Iterator[str]:
    """Modules, and rooms of one floor, that import each other, directly or by way of others."""
    graph = {path: set(imported) - {path} for path, imported in tree.imports.items()}
    for circle in components(graph):
        yield f"{' <-> '.join(circle)}: modules in a circle"
    for floor in FLOORS:
        rooms: dict[str, set[str]] = defaultdict(set)
        for path, imported in tree.imports.items():
            if own := room_of(path, floor):
                rooms[own] |= {their for other in imported if (their := room_of(other, floor)) and their != own}
        for circle in components(rooms):
            yield f"{floor}: {' <-> '.join(circle)}: rooms in a circle"


def repeated_classes(tree: Tree) -> Iterator[str]:
    """Names of classes that are defined more than once."""
    found = defaultdict(list)
    for path, module in tree.modules.items():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(f"{path}:{node.lineno}")
    for name, places in sorted(found.items()):
        if len(places) > 1:
            yield f"{places[0]}: the class {name} is defined at {' and '.join(places[1:])} too"


def long_functions(tree: Tree) -> Iterator[str]:
    """Functions longer than FUNCTION_LINES_MAX, decorators not counted."""
    for path, node in tree.functions():
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{path}:{node.lineno}: {node.name} has {lines} lines, more than {FUNCTION_LINES_MAX}"


def long_files(tree: Tree) -> Iterator[str]:
    """Files longer than FILE_LINES_MAX."""
    for path in tree.modules:
        lines = len((tree.root / path).read_text("utf-8").splitlines())
        if lines > FILE_LINES_MAX:
            yield f"{path}: {lines} lines, more than {FILE_LINES_MAX}"


def untyped_signatures(tree: Tree) -> Iterator[str]:
    """Functions of the TYPED packages with Any in their signature, also within another type or in quotes."""
    for path, node in tree.functions():
        parts = [node.args, *([node.returns] if node.returns else [])]
        if path.startswith(TYPED) and any(re.search(r"\bAny\b", ast.unparse(part)) for part in parts):
            yield f"{path}:{node.lineno}: {node.name} has Any in its signature"


def renamed_imports(tree: Tree) -> Iterator[str]:
    """Our own names imported under another."""
    for path, module in tree.modules.items():
        for node in ast.walk(module):
            if isinstance(node, ast.Import | ast.ImportFrom):
                source = node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
                for alias in node.names:
                    if alias.asname and source.split(".")[0] in PACKAGES:
                        yield f"{path}:{node.lineno}: {alias.name} is imported as {alias.asname}"


def banners(tree: Tree) -> Iterator[str]:
    """Comments that only divide a file."""
    for path in tree.modules:
        for number, line in enumerate((tree.root / path).read_text("utf-8").splitlines(), 1):
            if BANNER.match(line):
                yield f"{path}:{number}: a banner comment"


RULES = (
    loose_files, unplaced_rooms, upward_imports, circles, repeated_classes, long_functions, long_files,
    untyped_signatures, renamed_imports, banners,
)  # fmt: skip


def room_of(path: str, floor: str) -> str | None:
    """The room of a floor that a module lies in, or the module itself where it lies loose; None if elsewhere."""
    if not path.startswith(f"{floor}/"):
        return None
    return path.removeprefix(f"{floor}/").split("/")[0].removesuffix(".py")


def components(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan's algorithm, without recursion), sorted."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []
    for root in sorted(graph):
        work = [(root, iter(sorted(graph[root])))] if root not in index else []
        if work:
            index[root] = low[root] = len(index)
            stack.append(root)
        while work:
            node, others = work[-1]
            other = next((each for each in others if each in graph), None)
            if other is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    circle = stack[stack.index(node) :]
                    del stack[-len(circle) :]
                    found += [sorted(circle)] if len(circle) > 1 else []
            elif other not in index:
                index[other] = low[other] = len(index)
                stack.append(other)
                work.append((other, iter(sorted(graph[other]))))
            elif other in stack:
                low[node] = min(low[node], index[other])
    return sorted(found)


def breaches(tree: Tree) -> list[str]:
    """Everything that breaks a rule, by rule."""
    return [breach for rule in RULES for breach in rule(tree)]


def main(arguments: Iterable[str] | None = None) -> int:
    """Print each breach; 1 if there is any."""
    parser = argparse.ArgumentParser(prog="scripts/house", description="Show what in the source tree breaks its rules.")
    parser.add_argument("--rules", action="store_true", help="say what the rules are")
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    if chosen.rules:
        for rule in RULES:
            print(f"{rule.__name__.replace('_', ' ')}: {(rule.__doc__ or '').strip()}")
        return 0
    tree = Tree()
    found = breaches(tree)
    print("\n".join([*found, f"{len(found)} breaches of {len(RULES)} rules in {len(tree.modules)} modules"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
