"""The recipes of docs/bitcoin-tools.md, taken from the page and run as they stand against a fresh node."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.clients.conftest import JS, FreshNode, nodejs
from tests.functional.shell import ROOT, SHOWN_DATA, SHOWN_PORT

PAGE = (ROOT / "docs" / "bitcoin-tools.md").read_text()
RECIPE = re.compile(r"<!-- recipe: (\S+) -->\n```\w+\n(.*?)```\n\n```\n(.*?)```\n", re.DOTALL)
RECIPE_S = 120.0


class Recipe(NamedTuple):
    """One program of the page."""

    name: str
    program: str
    prints: str


RECIPES = [Recipe(*found) for found in RECIPE.findall(PAGE)]


@pytest.fixture
def home(tmp_path: Path, node: FreshNode) -> Path:
    """A person's home, where the node's data is in its usual place, and npm's packages at hand."""
    home = tmp_path / "home"
    data = home / SHOWN_DATA
    data.parent.mkdir(parents=True)
    data.symlink_to(node.datadir)
    (home / "node_modules").symlink_to(JS / "node_modules")
    return home


def test_every_program_on_the_page_is_a_recipe() -> None:
    assert {recipe.name for recipe in RECIPES} == {"bdk.py", "psbt.mjs", "spend.py", "rpc.py", "miner.py"}
    assert len(re.findall(r"^```(?:python|js)$", PAGE, re.MULTILINE)) == len(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.name for recipe in RECIPES])
def test_a_recipe(node: FreshNode, home: Path, recipe: Recipe) -> None:
    program = home / recipe.name
    assert f":{SHOWN_PORT}" in recipe.program
    program.write_text(recipe.program.replace(f":{SHOWN_PORT}", f":{node.port}"))
    outcome = subprocess.run(
        [nodejs() if recipe.name.endswith(".mjs") else sys.executable, str(program)],
        cwd=home,
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=RECIPE_S,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == recipe.prints
