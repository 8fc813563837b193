"""`scripts/bench`: every speed that the project claims, beside its anchor, in one run."""

import json
import os
import platform
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import click
import platformdirs
from rich.console import Console
from rich.table import Table

from tests.bench.rows import Bench, Row

TOPICS = (
    "connect", "stages", "mempool", "sync", "relay", "start", "growth", "http", "answers", "pages", "reorg", "mining",
)  # fmt: skip
"""Modules of this package, each with a `measure`."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("topics", nargs=-1, metavar="[TOPIC]...", type=click.Choice(TOPICS))
@click.option("--quick", is_flag=True, help="Small sizes, few rounds: under a minute. Figures are rough.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON instead of a table.")
def main(topics: tuple[str, ...], quick: bool, as_json: bool) -> None:
    """Measure groat beside what it is held against, each pair in the same run.

    \b
    Examples:
      scripts/bench --quick           everything, roughly
      scripts/bench connect mempool   two topics, thoroughly
      scripts/bench --json > bench.json
    """
    errors = Console(stderr=True)
    cache = Path(platformdirs.user_cache_dir("groat-bench"))
    rows: list[Row] = []
    for topic in topics or TOPICS:
        measure = import_module(f"tests.bench.{topic}").measure
        with tempfile.TemporaryDirectory(prefix="groat-bench-") as folder:
            bench = Bench(quick, Path(folder), cache, lambda line, topic=topic: errors.print(f"{topic}: {line}"))
            rows += measure(bench)
    if as_json:
        print(json.dumps({"machine": machine(), "quick": quick, "rows": [as_dict(row) for row in rows]}, indent=2))
    else:
        Console().print(table(rows))
    sys.exit(1 if any(row.met is False for row in rows) and not quick else 0)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()}


def as_dict(row: Row) -> dict[str, Any]:
    """A row for programs."""
    return {
        "name": row.name,
        "unit": row.unit,
        "ours": row.ours,
        "median": row.figure,
        "spread": row.spread,
        "anchor_name": row.anchor_name,
        "anchor": row.anchor,
        "ratio": row.ratio,
        "bar": row.bar,
        "better": row.better,
        "met": row.met,
        "note": row.note,
    }


def table(rows: list[Row]) -> Table:
    """The rows for people."""
    shown = Table(title="groat beside its anchors: medians of interleaved rounds")
    for heading in ("what", "ours", "spread", "anchor", "", "ratio", "bar", ""):
        shown.add_column(heading, justify="left" if heading in ("what", "") else "right")
    for row in rows:
        sign = ">=" if row.better == "more" else "<="
        shown.add_row(
            row.name,
            f"{_short(row.figure)} {row.unit}",
            f"{row.spread:.0%}",
            f"{_short(median(row.anchor))} {row.unit}" if row.anchor else "",
            row.anchor_name,
            "" if row.ratio is None else f"{row.ratio:.2f}",
            "" if row.bar is None else f"{sign} {row.bar:g}",
            {True: "met", False: "MISSED", None: ""}[row.met],
        )
    return shown


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


if __name__ == "__main__":
    main()
