"""Progress: plain lines where nobody watches, a spinner and a bar on a terminal, silence with --json."""

import re
import sys

import pytest

from devnet.screen import Screen, write_table


def show_all(screen: Screen) -> None:
    with screen.step("doing [it]") as say:
        say("more of [it]")
    with screen.bar("mining [3] blocks", 3) as progress:
        progress(2)
    screen.note("by the [way] " + "x" * 200)


def test_a_pipe_gets_lines_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    show_all(Screen())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "doing [it]\nmining [3] blocks\nby the [way] " + "x" * 200 + "\n"


def test_json_gets_silence(capsys: pytest.CaptureFixture[str]) -> None:
    show_all(Screen(quiet=True))
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_spinner_and_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show_all(Screen())
    captured = capsys.readouterr()
    assert captured.out == ""
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", captured.err)
    assert "more of [it]" in text
    assert re.search(r"mining \[3\] blocks .*2/3", text)


def test_a_table_has_colours_on_a_terminal_only_and_none_under_no_color(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn() -> str:
        write_table(("node", "state"), [("0", "ok"), ("10", "stopped")], ("node",), (None, "red"))
        return capsys.readouterr().out

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    plain = "node  state\n   0  ok\n  10  stopped\n"
    assert drawn() == plain
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert drawn() == "\x1b[1mnode  state\x1b[0m\n   0  ok\n\x1b[31m  10  stopped\x1b[0m\n"
    monkeypatch.setenv("TERM", "dumb")
    assert drawn() == plain
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert drawn() == plain
