"""Terminals get frames and progress; pipes get plain lines; --json gets one document."""

import io
import json

import pytest
from rich.console import Console

from devnet.screen import Screen

ROWS = (("node", "height"), [["0", "101"], ["10", ""]])


def test_a_pipe_gets_aligned_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().table(*ROWS)
    assert capsys.readouterr().out == "node  height\n0     101\n10\n"


def test_a_table_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().table(("node", "height"), [])
    assert capsys.readouterr().out == "node  height\n"


def test_a_terminal_gets_a_frame() -> None:
    screen = Screen()
    screen._facts = Console(file=io.StringIO(), force_terminal=True, width=60)
    screen.table(*ROWS)
    assert "┃ node ┃ height ┃" in screen._facts.file.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")  # type: ignore[attr-defined]


def test_progress_goes_to_standard_error_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    with screen.step("doing [it]") as say:
        say("more")
    with screen.bar("mining 3 blocks", 3) as progress:
        progress(2)
    screen.note("by the way")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "doing [it]\nmining 3 blocks\nby the way\n"


def test_json_is_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(as_json=True)
    with screen.step("doing it") as say, screen.bar("mining", 3) as progress:
        say("more")
        progress(1)
    screen.note("by the way")
    screen.document({"height": 101})
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out) == {"height": 101}


def test_nothing_said_by_others_is_taken_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().line("2026-01-01 [bold]node[/] " + "x" * 200)
    assert capsys.readouterr().out == "2026-01-01 [bold]node[/] " + "x" * 200 + "\n"
