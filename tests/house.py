"""Rules of the source tree on rooms, names and sizes.

A room is a package, or a module that stands beside packages. Each rule takes the product's sources and returns the
breaches, places that do not meet it; scripts/house prints them all.
"""

import argparse
import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
PRODUCT = ("chain", "node", "wallet", "devnet", "scripts")
LOOSE = ("__init__", "__main__", "cli", "daemon", "config", "logs", "ledger_tools", "secret_files")
"""Modules that may stand in node/ beside its packages."""
ORDER = (
    ("chain",),
    ("node.interface", "node.workers", "node.logs", "node.secret_files"),
    ("node.storage", "node.chainstate", "node.mempool", "node.descriptors"),
    ("node.p2p",),
    ("node.core", "node.config"),
    ("node.runtime",),
    ("node.ledger_tools", "node.mining", "node.blockfilter", "node.notify"),
    ("node.api",),
    ("node.daemon",),
    ("node.cli",),
    ("node.__main__",),
)
"""Rooms from the ground up: each imports those below it, and those beside it without a circle."""
NO_CIRCLES_IN = ("node", "node.p2p", "node.api")
"""Packages between whose rooms there is no circle."""
TYPED = ("node/p2p/", "node/core/", "node/interface/", "node/chainstate/")
"""Folders where no signature says Any."""
FUNCTION_LINES_MAX, FILE_LINES_MAX = 60, 400
BANNER = re.compile(r"\s*#\s*[-=#*~_─═]{3,}")
"""A comment that is a line, or begins as one."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, order=True)
class Breach:
    """A place that does not meet a rule."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


@dataclass(frozen=True, slots=True)
class Import:
    """A module of the project that another imports."""

    target: str
    line: int
    given: str | None
    """Another name that the importer gives to what it takes."""


class Source:
    """A file and what the rules ask of it."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.lines = path, text.splitlines()
        self.classes: list[ast.ClassDef] = []
        self.functions: list[Function] = []
        self.import_nodes: list[ast.Import | ast.ImportFrom] = []
        if path.endswith(".py"):
            self._sort(ast.parse(text, path))

    def _sort(self, tree: ast.Module) -> None:
        """Keep the statements that rules ask about; expressions hold none."""
        waiting: list[ast.AST] = [tree]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.ClassDef):
                self.classes.append(node)
            elif isinstance(node, Function):
                self.functions.append(node)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self.import_nodes.append(node)
            for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                inner = getattr(node, block, ())
                waiting.extend(inner if isinstance(inner, list) else ())

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


class Tree:
    """The product's sources by path."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.sources = [Source(path, text) for path, text in sorted(texts.items())]

    @cached_property
    def modules(self) -> set[str]:
        return {source.module for source in self.sources if source.path.endswith(".py")}

    def imports(self, source: Source) -> Iterator[Import]:
        """The project's modules that a source imports, and names of theirs that it changes."""
        for node in source.import_nodes:
            for alias in node.names:
                base = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                target = base + alias.name
                if target not in self.modules:
                    target = target.rpartition(".")[0]
                if target in self.modules:
                    given = alias.asname if alias.asname != alias.name else None
                    yield Import(target, node.lineno, given)

    @cached_property
    def arrows(self) -> dict[str, dict[str, Breach]]:
        """Who imports whom, by module, and where it does: text is left to the rule."""
        arrows: dict[str, dict[str, Breach]] = {module: {} for module in sorted(self.modules)}
        for source in self.sources:
            for found in self.imports(source):
                if found.target != source.module:
                    arrows[source.module].setdefault(found.target, Breach(source.path, found.line, ""))
        return arrows


def read_product(root: Path = ROOT) -> Tree:
    """The sources below a root, in Python and the shell's."""
    paths = [
        path
        for package in PRODUCT
        for path in (root / package).rglob("*")
        if path.is_file() and (path.suffix in (".py", ".sh") or (path.parent.name == "scripts" and not path.suffix))
    ]
    return Tree({path.relative_to(root).as_posix(): path.read_text("utf-8") for path in paths})


def loose_files(tree: Tree) -> list[Breach]:
    """Files in node/ that belong in one of its packages."""
    return [
        Breach(source.path, 1, "belongs in one of node's packages")
        for source in tree.sources
        if (name := re.fullmatch(r"node/(\w+)\.py", source.path)) and name[1] not in LOOSE
    ]


def rooms_out_of_order(tree: Tree) -> list[Breach]:
    """Imports of a room that stands above."""
    floors = {room: floor for floor, rooms in enumerate(ORDER) for room in rooms}
    found = []
    for module, arrows in tree.arrows.items():
        room = _room(module, "node")
        if module == "node" or not module.startswith(("chain", "node")):
            continue
        if room not in floors:
            found.append(Breach(next(s.path for s in tree.sources if s.module == module), 1, f"{room} has no floor"))
            continue
        for target, place in arrows.items():
            above = _room(target, "node")
            if above != "node" and floors.get(above, 0) > floors[room]:
                found.append(Breach(place.path, place.line, f"{room} imports {above}, which stands above it"))
    return found


def _room(module: str, package: str) -> str:
    """The package's room that a module is in; any other package counts as one room."""
    if module.startswith(package + "."):
        return ".".join(module.split(".")[: package.count(".") + 2])
    return package if module == package else module.split(".", maxsplit=1)[0]


def circles(tree: Tree) -> list[Breach]:
    """Modules, and rooms of a package, that import each other, perhaps by way of others."""
    found = _circles_of(tree.arrows)
    for package in NO_CIRCLES_IN:
        rooms: dict[str, dict[str, Breach]] = defaultdict(dict)
        for module, arrows in tree.arrows.items():
            if not module.startswith(package + "."):
                continue
            for target, place in arrows.items():
                here, there = _room(module, package), _room(target, package)
                if target.startswith(package + ".") and here != there:
                    rooms[here].setdefault(there, place)
        found += _circles_of(rooms)
    return sorted(set(found))


def _circles_of(arrows: Mapping[str, Mapping[str, Breach]]) -> list[Breach]:
    """One breach a shortest circle through each arrow that is on one, told from its first name on."""
    circles = {}
    for start in arrows:
        before = {start: ""}
        reached = [start]
        for name in reached:
            for target in arrows.get(name, ()):
                if target == start:
                    way = [name]
                    while way[-1] != start:
                        way.append(before[way[-1]])
                    way.reverse()
                    first = way.index(min(way))
                    circles[*way[first:], *way[:first]] = True
                elif target not in before:
                    before[target] = name
                    reached.append(target)
    found = []
    for way in circles:
        place = arrows[way[0]][way[1]]
        found.append(Breach(place.path, place.line, f"circle: {' > '.join((*way, way[0]))}"))
    return found


def repeated_classes(tree: Tree) -> list[Breach]:
    """Names of classes that are defined more than once."""
    found = defaultdict(list)
    for source in tree.sources:
        for node in source.classes:
            found[node.name].append((source.path, node.lineno))
    return [
        Breach(path, line, f"class {name} is defined in {found[name][0][0]} too")
        for name in found
        for path, line in found[name][1:]
    ]


def long_functions(tree: Tree) -> list[Breach]:
    """Functions longer than FUNCTION_LINES_MAX, decorators not counted."""
    return [
        Breach(source.path, node.lineno, f"{node.name} has more than {FUNCTION_LINES_MAX} lines")
        for source in tree.sources
        for node in source.functions
        if (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX
    ]


def long_files(tree: Tree) -> list[Breach]:
    """Files longer than FILE_LINES_MAX."""
    return [
        Breach(source.path, FILE_LINES_MAX + 1, f"more than {FILE_LINES_MAX} lines")
        for source in tree.sources
        if len(source.lines) > FILE_LINES_MAX
    ]


def untyped_signatures(tree: Tree) -> list[Breach]:
    """Functions of the TYPED folders with Any in their signature."""
    return [
        Breach(source.path, node.lineno, f"Any in the signature of {node.name}")
        for source in tree.sources
        if source.path.startswith(TYPED)
        for node in source.functions
        if any(_says_any(annotation) for annotation in _annotations(node))
    ]


def _annotations(node: Function) -> Iterator[ast.expr]:
    given = node.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    yield from (each.annotation for each in every if each and each.annotation)
    if node.returns:
        yield node.returns


def _says_any(annotation: ast.expr) -> bool:
    for node in ast.walk(annotation):
        match node:
            case ast.Name(id="Any") | ast.Attribute(attr="Any"):
                return True
            case ast.Constant(value=str(quoted)) if re.search(r"\bAny\b", quoted):
                return True
    return False


def renamed_imports(tree: Tree) -> list[Breach]:
    """The project's own names that a module imports under another."""
    return [
        Breach(source.path, found.line, f"imports from {found.target} under the name {found.given}")
        for source in tree.sources
        for found in tree.imports(source)
        if found.given
    ]


def banner_comments(tree: Tree) -> list[Breach]:
    """Comments that draw a line."""
    return [
        Breach(source.path, number, "banner comment")
        for source in tree.sources
        for number, line in enumerate(source.lines, 1)
        if BANNER.match(line)
    ]


RULES: dict[str, Callable[[Tree], Iterable[Breach]]] = {
    "no loose files in node/": loose_files,
    "no import against the order of rooms": rooms_out_of_order,
    "no circles": circles,
    "no class name twice": repeated_classes,
    f"no function over {FUNCTION_LINES_MAX} lines": long_functions,
    f"no file over {FILE_LINES_MAX} lines": long_files,
    "no Any in a signature": untyped_signatures,
    "no own name imported under another": renamed_imports,
    "no banner comments": banner_comments,
}


def main() -> int:
    """Print each breach; 1 if there is one."""
    rules = "\n".join(f"  {rule}" for rule in RULES)
    parser = argparse.ArgumentParser(
        prog="scripts/house",
        description="Print each place that does not meet a rule of the source tree, as path:line: what, and how many "
        "there are. Exit status 1 if there is one.",
        epilog=f"rules, for {', '.join(PRODUCT)}:\n{rules}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="another checkout to look at")
    tree = read_product(parser.parse_args().root)
    breaches = sorted(breach for rule in RULES.values() for breach in rule(tree))
    for breach in breaches:
        print(breach)
    print(f"{len(tree.sources)} files, {len(RULES)} rules, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    raise SystemExit(main())
