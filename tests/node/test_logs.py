"""Log lines that operators can read and peers cannot abuse."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node import logs
from node.logs import BURST, LINE_MAX, REFILL_S, Allowance, JsonFormatter, TextFormatter, start_logging, stop_logging


def record(message: str, *args: object, created: float = 1_700_000_000.25, lineno: int = 1) -> logging.LogRecord:
    made = logging.LogRecord("groat.chain", logging.WARNING, "chainstate.py", lineno, message, args, None)
    made.created, made.msecs = created, 250.0
    return made


Logging = Callable[..., Path]


@pytest.fixture
def log_to(tmp_path: Path) -> Iterator[Logging]:
    """Sends the log to a file in a format."""
    handlers = []

    def start(log_format: str) -> Path:
        handlers.append(start_logging(log_format, tmp_path / "log"))
        return tmp_path / "log"

    yield start
    for handler in handlers:
        stop_logging(handler)


def test_text_is_one_line_with_time_level_and_place() -> None:
    line = TextFormatter().format(record("block %s is invalid", "abcd"))
    when, level, place, message = line.split(" ", 3)
    assert when.startswith("2023-11-1")
    assert ".250" in when
    assert (level, place, message) == ("WARNING", "chain:", "block abcd is invalid")


def test_json_is_one_object() -> None:
    fields = json.loads(JsonFormatter().format(record("block %s is invalid", "abcd")))
    assert fields.pop("time").startswith("2023-11-1")
    assert fields == {"level": "warning", "logger": "groat.chain", "message": "block abcd is invalid"}


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_what_a_peer_says_stays_on_its_line(formatter: logging.Formatter) -> None:
    line = formatter.format(record("peer says %s", "a\nINFO forged: b\r\x1b[2J\u2028" + "x" * 10_000))
    assert "\n" not in line
    assert "\r" not in line
    assert "\x1b" not in line
    assert "\u2028" not in line
    assert len(line) < LINE_MAX + 200


def test_tracebacks_are_kept(log_to: Logging) -> None:
    path = log_to("json")
    try:
        raise RuntimeError("oops")
    except RuntimeError:
        logging.getLogger("groat.test").exception("it failed")
    [line] = path.read_text().splitlines()
    fields = json.loads(line)
    assert fields["message"] == "it failed"
    assert "RuntimeError: oops" in fields["traceback"]


def test_one_call_cannot_fill_the_log() -> None:
    allowance = Allowance()
    flood = [record("spam %d", number) for number in range(1000)]
    assert [allowance.filter(each) for each in flood] == [True] * BURST + [False] * (1000 - BURST)
    assert allowance.filter(record("other", lineno=2)), "another place has an allowance of its own"
    later = record("spam %d", 1000, created=flood[0].created + REFILL_S)
    assert allowance.filter(later)
    assert later.getMessage() == f"spam 1000 ({1000 - BURST} more like this were not logged)"
    assert not allowance.filter(record("spam %d", 1001, created=flood[0].created + REFILL_S))


def test_quiet_times_fill_the_allowance_up_to_the_burst() -> None:
    allowance = Allowance()
    allowance.filter(record("spam"))
    late = [record("spam", created=1_800_000_000.0) for _ in range(BURST + 5)]
    assert sum(map(allowance.filter, late)) == BURST


def test_a_clock_set_back_does_no_harm() -> None:
    allowance = Allowance()
    assert allowance.filter(record("spam", created=2_000.0))
    assert allowance.filter(record("spam", created=1_000.0))


def test_files_are_rotated_and_few(log_to: Logging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES_MAX", 2_000)
    monkeypatch.setattr(logs, "BURST", 10_000)
    path = log_to("text")
    for number in range(500):
        logging.getLogger("groat.test").warning("line %d of many", number)
    files = sorted(entry.name for entry in path.parent.iterdir())
    assert files == ["log", "log.1", "log.2", "log.3", "log.4"]
    assert all(entry.stat().st_size <= 2_000 for entry in path.parent.iterdir())
    assert "line 499 of many" in path.read_text()


def test_debugging_of_libraries_is_not_logged(log_to: Logging) -> None:
    path = log_to("text")
    logging.getLogger("urllib3.connectionpool").warning("Connection pool is full")
    logging.getLogger("groat.test").debug("detail")
    logging.getLogger("groat.test").info("news")
    assert [line.rpartition(": ")[2] for line in path.read_text().splitlines()] == ["news"]
