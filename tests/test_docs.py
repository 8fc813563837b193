"""What docs/ and README name is what there is: options, variables, keys, routes, methods; no more and no less."""

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from chain.params import devnet_params
from devnet.cli import cli as devnet
from node.api.rest.table import ROUTES
from node.api.rpc.table import METHODS
from node.cli import ENVIRONMENT, groatd
from node.p2p.wire.codec import ROUTES as PEER_ROUTES
from tests.functional.api_examples import missing
from wallet.cli import cli as wallet

ROOT = Path(__file__).parents[1]
SOURCES = ("chain", "node", "wallet", "devnet", "scripts", "docs", "tests")
COMMANDS = (ROOT / "docs" / "commands.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
README = (ROOT / "README.md").read_text()
PROGRAMS: dict[str, click.Group] = {"groatd": groatd, "wallet": wallet, "devnet": devnet}
MORE_VARIABLES = {"GROAT_WALLET_PASSWORD"}
"""Those that no option goes with."""


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command as docs/commands.md heads it: the program, the subcommand, its arguments."""
    for name, program in PROGRAMS.items():
        yield name, program
        for subcommand in program.commands.values():
            arguments = [_shown(param) for param in subcommand.params if isinstance(param, click.Argument)]
            yield " ".join((name, subcommand.name or "", *arguments)), subcommand


def _shown(argument: click.Argument) -> str:
    name = (argument.name or "").upper()
    return f"[-- {name}]" if argument.type is click.UNPROCESSED else name


TITLES = dict(commands())


def options(title: str) -> set[tuple[str, str]]:
    """A command's own options, each with its variable."""
    program, *rest = title.split()
    shared = {param.name for param in PROGRAMS[program].params} if rest and program != "groatd" else set()
    found = set()
    for param in TITLES[title].params:
        # The options of wallet and devnet stand before and after any subcommand.
        if not isinstance(param, click.Option) or param.name in shared:
            continue
        variable = param.envvar or ""
        if program == "groatd" and param.allow_from_autoenv:
            variable = "_".join((ENVIRONMENT, *rest[:1], param.name or "")).upper()
        found |= {(name, str(variable)) for name in (*param.opts, *param.secondary_opts)}
    return found


def documented(title: str) -> set[tuple[str, str]]:
    section = re.split(r"^##+ ", COMMANDS.partition(f"### `{title}`\n")[2], flags=re.MULTILINE)[0]
    found = set()
    for names, variable in re.findall(r"^\| `(-.*?)` \| (?:`(\w+)`)? *\|", section, re.MULTILINE):
        found |= {(name.split()[0], variable) for name in names.split(", ")}
    return found


@pytest.mark.parametrize("title", TITLES)
def test_every_option_is_documented_with_its_variable(title: str) -> None:
    assert f"### `{title}`\n" in COMMANDS
    assert documented(title) == options(title)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_tells_its_version_and_shows_examples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROAT_VERSION", "1")  # not an option that the environment sets
    told = CliRunner().invoke(PROGRAMS[name], ["--version"], prog_name=name)
    assert (told.exit_code, told.output) == (0, f"{name}, groat {version('groat')}\n")
    shown = CliRunner().invoke(PROGRAMS[name], ["--help"], prog_name=name).output
    assert len(re.findall(rf"^ +{name} ", shown, re.MULTILINE)) >= 4, shown


@pytest.mark.parametrize("title", [title for title in TITLES if " " in title])
def test_every_command_shows_an_example(title: str) -> None:
    program, command = title.split()[:2]
    shown = CliRunner().invoke(PROGRAMS[program], [command, "--help"], prog_name=program).output
    assert re.search(rf"Examples?:\n +{program} .*{command}", shown), shown


def test_no_command_is_documented_that_is_not_there() -> None:
    assert set(re.findall(r"^### `(.*)`$", COMMANDS, re.MULTILINE)) == set(TITLES)


def test_the_keys_of_a_network_file() -> None:
    section = COMMANDS.partition("### Network files")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(devnet_params().to_mapping())


def test_the_example_of_a_config_file_has_keys_that_exist() -> None:
    keys = re.findall(r"^([a-z-]+) = ", COMMANDS, re.MULTILINE)
    assert keys
    assert {f"--{key}" for key in keys} <= {name for name, _ in options("groatd")} - {"--config"}


def test_what_scripts_and_tests_read_from_the_environment_is_documented() -> None:
    """And what is documented beside the options is read somewhere."""
    sources = [*ROOT.glob("scripts/*"), ROOT / ".ci" / "run", *ROOT.glob("tests/**/*.py")]
    text = "".join(path.read_text() for path in sources if path.is_file())
    read = set(re.findall(r"\$\{(GROAT_[A-Z]+)", text)) | set(re.findall(r'environ\.get\("(GROAT_[A-Z]+)"', text))
    section = COMMANDS.partition("\n## scripts")[2]
    assert set(re.findall(r"^\| `(GROAT_\w+)` \|", section, re.MULTILINE)) == read


@pytest.mark.parametrize(
    "path", ["README.md", "CONTRIBUTING.md", "docs/commands.md", "docs/api.md", "docs/network.md", "docs/explorer.md"]
)
def test_every_command_option_and_variable_named_exists(path: str) -> None:
    """Command lines in code blocks and in code spans."""
    text = (ROOT / path).read_text()
    every = {title: {name for name, _ in options(title)} | {"--help"} for title in TITLES}
    blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    # Where some lines have a prompt the others are output.
    lines = [line for block in blocks for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE) or block.splitlines()]
    for line in lines:
        called = re.search(r"(?:^|bin/|scripts/|\()(groatd|wallet|devnet) (.*)", line)
        if called:
            check_call(called[1], re.split("[#)]", called[2])[0].split(), every)
    for span in re.findall(r"`(groatd|wallet|devnet|scripts/devnet) ([a-z-][^`]*)`", text):
        check_call(span[0].removeprefix("scripts/"), span[1].split(), every)
    known = {variable for title in TITLES for _, variable in options(title)} | MORE_VARIABLES
    known |= set(re.findall(r"^\| `(GROAT_\w+)` \|", COMMANDS.partition("\n## scripts")[2], re.MULTILINE))
    assert set(re.findall(r"\bGROAT_[A-Z_]+\b", text)) - {"GROAT_"} <= known


def check_call(program: str, words: list[str], every: dict[str, set[str]]) -> None:
    if program == "devnet" and "--" in words:  # what follows is handed on
        words, handed_on = words[: words.index("--")], words[words.index("--") + 1 :]
        assert {word for word in handed_on if word.startswith("--")} <= every["groatd"], handed_on
    subcommands = PROGRAMS[program].commands
    called = next((word for word in words if word in subcommands), None)
    assert called or all(word.startswith("-") for word in words[:1]), f"{program} {words}"
    allowed = set(every[program])
    for title, names in every.items():
        if called and title.split()[:2] == [program, called]:
            allowed |= names
    assert {word for word in words if word.startswith("--")} <= allowed, f"{program} {words}"


def test_every_route_is_documented() -> None:
    documented = re.findall(r"^\| `((?:GET|POST) .*?)` \|", API, re.MULTILINE)
    assert documented == [
        f"{route.method} {route.path}" + ("?" if route.query else "") + "&".join(f"{name}=" for name in route.query)
        for route in ROUTES
    ]


def test_every_json_rpc_method_is_documented() -> None:
    section = API.partition("\n## JSON-RPC")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `([a-z][^`]*)` \|", section, re.MULTILINE)
    assert sorted(documented) == sorted(method.usage for method in METHODS)


def test_every_example_is_of_its_route_or_method() -> None:
    for method, path, example in re.findall(r"^\| `(GET|POST) (\S+)` \| .* \| `(.*)` \|$", API, re.MULTILINE):
        fixed = re.sub(r":\w+", "", path.partition("?")[0])
        # Whatever stands between the parameters of the path stands in the example too.
        assert all(f"/{piece}" in example for piece in fixed.split("/") if piece), example
        assert (method == "POST") == ("--data" in example), example
    for name, example in re.findall(r"^\| `([a-z]+)[^`]*` \| .* \| `((?:rpc|alone) .*)` \|$", API, re.MULTILINE):
        assert example.split()[1] == name


def test_every_example_has_its_answer() -> None:
    """`python -m tests.api_doc` writes them."""
    assert list(missing(API)) == []


def test_every_route_between_nodes_is_documented() -> None:
    section = API.partition("## Between nodes")[2]
    assert set(re.findall(r"`POST /p2p/(\w+)`", section)) == set(PEER_ROUTES)


def test_every_link_to_a_file_leads_to_one() -> None:
    pages = (
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/commands.md",
        "docs/api.md",
        "docs/network.md",
        "docs/explorer.md",
        "docs/bitcoin-tools.md",
    )
    for path in pages:
        for target in re.findall(r"\]\(([^):#]+)\)", (ROOT / path).read_text()):
            assert ((ROOT / path).parent / target).exists(), f"{path}: {target}"


def test_what_architecture_names_exists() -> None:
    """Every file, every package of node/, and in the table of Bitcoin Core's words every name in its file."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    files = [path.relative_to(ROOT).as_posix() for part in SOURCES for path in (ROOT / part).rglob("*.*")]
    named = set(re.findall(r"[\w/.-]*\w\.(?:py|c|md|html|js)\b", text)) - {"README.md"}
    assert len(named) > 100
    assert not {name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in files)}
    packages = {path.parent.name for path in (ROOT / "node").glob("*/__init__.py")}
    assert packages == set(re.findall(r"^node/(\w+)/ ", text, re.MULTILINE))
    words = text.partition("\n## Bitcoin Core's word for it\n")[2].partition("\n## ")[0]
    rows = re.findall(r"`(\w+/[\w/]+\.py)`: ((?:`\w+`(?:, )?)+)", words)
    assert len(rows) > 10
    for path, names in rows:
        source = (ROOT / path).read_text()
        assert not [name for name in re.findall(r"\w+", names) if name not in source], path
