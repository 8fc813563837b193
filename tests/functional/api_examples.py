"""The examples of docs/api.md: found in its tables, run against a devnet's node, shortened, compared.

A row's third column is the example. Behind each table with such rows stand the answers, between two comments; there
`python -m tests.api_doc` writes what the examples really showed.
"""

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.functional.shell import SHOWN_DATA, SHOWN_HOME, Shell

TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
ROW = re.compile(r"^\| `(.*?)` \|.*\| `((?:curl|rpc|alone) .*)` \|$", re.MULTILINE)
"""Name and example; `alone` asks a node of its own."""
BEGIN, END = "<!-- answers: python -m tests.api_doc -->", "<!-- end of answers -->"
ANSWER = re.compile(
    r"^\*\*`(?P<name>.*?)`\*\*(?P<label>.*)\n\n```\n\$ (?P<example>.*)\n(?P<output>(?:.*\n)*?)```$", re.M
)
LAST = ("rpc invalidate", "rpc reconsider", "rpc generate", "alone ", "alone stop")
"""What is tried last: the wallet locks payments to the tip's height, so below it they go; blocks take them; `stop` ends
the node asked."""
CUT = "…"
ITEMS_SHOWN = 2
"""Of an array (of objects or arrays: one), and of an object whose keys are values."""
HEX_SHOWN, HEX_LONG = 8, 24
"""Digits that are left of so many or more."""
TEXT_LONG = 90
LINES_SHOWN = 8
AS_IT_IS = "\ue000"
"""Begins what stands for a number with decimals, whose digits are to stay as they came."""
TIED = "\u00a0"
"""A space at which no line is broken: between a key and what it stands for."""
LINE_LONG = 114
OUTERMOST = frozenset({"", "result"})
"""Keys of an array that is an answer itself."""
MAY_BE_NULL = frozenset({"endpoint", "last_block", "last_transaction", "round_trip_ms", "least_round_trip_ms"})
"""Keys of what chance decides to be null."""


@dataclass(frozen=True)
class Answered:
    """What an example showed."""

    name: str
    """Of the route or method, with its parameters."""
    example: str
    label: str
    """Behind the name: status and content type of a REST route."""
    output: str
    """Shortened."""

    def __str__(self) -> str:
        lines = [f"**`{self.name}`**{self.label}", "", "```", f"$ {self.example}", *self.output.splitlines(), "```"]
        return "\n".join(lines)


def rows(text: str) -> list[tuple[str, str]]:
    """Name and example of each row of the page's tables."""
    return [(name, example.replace(r"\|", "|")) for name, example in ROW.findall(text)]


def shown_answers(text: str) -> dict[str, Answered]:
    """By example, what the page shows."""
    return {
        found["example"]: Answered(found["name"], found["example"], found["label"], found["output"].rstrip("\n"))
        for found in ANSWER.finditer(text)
    }


CURL = "curl() { command curl -w '%{stderr}%{http_code} %{content_type}' \"$@\"; }"
"""Tells status and type beside the answer."""


def answers_of(shell: Shell, text: str) -> list[Answered]:
    """Run the page's set-ups and then each example, at node 1 of the shell's devnet (without node 0 no block comes in
    between) or at the node alone."""
    shell.run("scripts/devnet stop 0")
    setup, alone = re.findall(r"```\n(.*?)```", text.partition("\n## ")[0], re.DOTALL)
    examples = rows(text)
    assert len(examples) > 50
    examples.sort(key=lambda row: max((n for n, word in enumerate(LAST, 1) if row[1].startswith(word)), default=0))
    (shell.home / "answers").mkdir()
    return _run(shell, [setup.replace("/node0/", "/node1/"), alone, CURL], examples, "wait")


def _run(shell: Shell, setup: list[str], examples: list[tuple[str, str]], end: str) -> list[Answered]:
    """Their answers, kept in files."""
    places = [shell.home / "answers" / str(number) for number in range(len(examples))]
    calls = [
        f"{{ {example}\n}} > {place}.out 2> {place}.err" for place, (_, example) in zip(places, examples, strict=True)
    ]
    shell.run("\n".join([*setup, *calls, end]), shift=2)
    return [_answered(shell, name, example, place) for place, (name, example) in zip(places, examples, strict=True)]


def _answered(shell: Shell, name: str, example: str, place: Path) -> Answered:
    status, _, content = place.with_suffix(".err").read_text().partition(" ")
    output = place.with_suffix(".out").read_text(errors="replace")
    assert status == "200", f"{example}\n{status} {content}\n{output}"
    output = shorten(output.replace(f"{shell.home}/{shell.data}", f"{SHOWN_HOME}/{SHOWN_DATA}"))
    if not example.startswith("curl "):
        assert re.search(r'"error": null', output), f"{example}\n{output}"
        return Answered(name, example, "", output)
    return Answered(name, example, f": {status}, `{content}`", output)


# shortening


def shorten(output: str) -> str:
    """What is worth showing of an answer: JSON stays JSON, with what is cut marked."""
    try:
        answer = json.loads(output, parse_float=lambda number: AS_IT_IS + number)
    except ValueError:
        lines = [_cut_line(line) for line in output.splitlines()]
        return "\n".join([*lines[:LINES_SHOWN], *([CUT] if len(lines) > LINES_SHOWN else [])])
    return layout(shortened(answer))


def shortened(answer: Any) -> Any:
    """JSON with long arrays, objects and texts cut."""
    if isinstance(answer, list):
        most = 1 if answer and isinstance(answer[0], dict | list) else ITEMS_SHOWN
        return [*map(shortened, answer[:most]), *([CUT] if len(answer) > most else [])]
    if isinstance(answer, dict):
        items = list(answer.items())
        if len(items) > ITEMS_SHOWN and all(re.fullmatch(r"\d+|[0-9a-f]{64}", key) for key in answer):
            items = [*items[:ITEMS_SHOWN], (CUT, CUT)]
        return {_cut_text(key): shortened(content) for key, content in items}
    return _cut_text(answer) if isinstance(answer, str) else answer


def _cut_text(text: str) -> str:
    text = re.sub(rf"[0-9a-f]{{{HEX_LONG},}}", lambda digits: digits[0][:HEX_SHOWN] + CUT, text)
    return text if len(text) <= TEXT_LONG else text[:TEXT_LONG] + CUT


def _cut_line(line: str) -> str:
    line = re.sub(rf"[0-9a-f]{{{HEX_LONG},}}", lambda digits: digits[0][:HEX_SHOWN] + CUT, line)
    return line if len(line) <= LINE_LONG else line[:LINE_LONG] + CUT


def layout(answer: Any) -> str:
    """JSON in one line that is broken where it gets too long."""
    line = json.dumps(answer, ensure_ascii=False, separators=(", ", f":{TIED}"))
    lines = textwrap.wrap(line, LINE_LONG, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return re.sub(rf'"{AS_IT_IS}(.*?)"', r"\1", "\n".join(lines).replace(TIED, " "))


def unbroken(text: str) -> Any:
    """The JSON that was laid out so. Raises ValueError if it is none."""
    return json.loads(re.sub(r"\n *", " ", text))


# comparing


def fits(shown: str, given: str) -> bool:
    """True if two shortened answers have the same keys and types, or as text the same lines but for numbers and hex."""
    try:
        wanted, found = unbroken(shown), unbroken(given)
    except ValueError:
        return [*map(_line_shape, shown.splitlines())] == [*map(_line_shape, given.splitlines())]
    return alike(wanted, found)


def alike(wanted: Any, found: Any, key: str = "") -> bool:
    """The same keys and types. Arrays inside may be empty in one of the two: what is in a block is chance."""
    if key in MAY_BE_NULL and (wanted is None or found is None):
        return True
    if isinstance(wanted, list) and isinstance(found, list):
        if not wanted or not found:
            return key not in OUTERMOST or wanted == found
        # Each kind of item that is shown has to be there.
        return all(any(alike(one, other, "item") for other in found if other != CUT) for one in wanted if one != CUT)
    if isinstance(wanted, dict) and isinstance(found, dict):
        return _keys(wanted) == _keys(found) and all(
            alike(content, found[name], name) for name, content in wanted.items() if name in found and name != CUT
        )
    return type(wanted) is type(found)


def _keys(shape: dict[str, Any]) -> set[str]:
    """Names, and whether there are keys that are values."""
    return {"" if re.fullmatch(rf"[0-9a-f]{{{HEX_SHOWN}}}{CUT}|\d+|{CUT}", name) else name for name in shape}


def _line_shape(line: str) -> str:
    line = re.sub(r"\bbcrt1\w+", "ADDRESS", line)
    line = re.sub(rf"\b[0-9a-f]{{{HEX_SHOWN}}}{CUT}", "HEX", line)
    line = re.sub(r"\b[0-9a-f]{2}\b", "0", line)
    return " ".join(re.sub(r"\d+", "0", line).split())


# the page


def written(text: str, answers: list[Answered]) -> str:
    """The page with these answers behind its tables."""
    by_example = {answer.example: answer for answer in answers}
    text = re.sub(rf"\n{re.escape(BEGIN)}\n.*?{re.escape(END)}\n", "", text, flags=re.DOTALL)

    def with_answers(table: re.Match[str]) -> str:
        if not rows(table[0]):
            return table[0]
        shown = "\n\n".join(str(by_example[example]) for _, example in rows(table[0]))
        return f"{table[0]}\n{BEGIN}\n\n{shown}\n\n{END}\n"

    return TABLE.sub(with_answers, text)


def missing(text: str) -> Iterator[tuple[str, str]]:
    """Example and name: examples whose answers are not shown, and answers whose examples are gone."""
    examples = {example: name for name, example in rows(text)}
    shown = {example: answer.name for example, answer in shown_answers(text).items()}
    yield from sorted(set(examples.items()) ^ set(shown.items()))
