"""Logs for operators: text or JSON lines, to standard error or a file that is rotated.

Whatever the outside does, one place in the code cannot log faster than its allowance.
"""

import json
import logging
import logging.handlers
from pathlib import Path

FILE_BYTES_MAX = 10 * 1024 * 1024
"""A log file of this size is renamed and a new one begun."""
FILES_KEPT = 4
"""Renamed files; the oldest goes."""
BURST = 50
"""Lines that one logging call may write at once."""
REFILL_S = 2.0
"""Seconds for each further line."""
LINE_MAX = 2_000
"""Characters of a message; a longer one is cut. Tracebacks are not."""
QUIET = ("urllib3", "werkzeug")
"""Libraries whose warnings tell of nothing but what peers do."""


class Allowance(logging.Filter):
    """Drops what one logging call writes beyond its burst and refill, and says how much it was.

    The state is one small record for each logging call in the code, so it is bounded.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[tuple[str, int], tuple[float, float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """False to drop the record."""
        call = (record.pathname, record.lineno)
        tokens, since, dropped = self._calls.get(call, (float(BURST), record.created, 0))
        tokens = min(float(BURST), tokens + max(0.0, record.created - since) / REFILL_S)
        if tokens < 1:
            self._calls[call] = (tokens, record.created, dropped + 1)
            return False
        if dropped:
            record.msg = f"{record.getMessage()} ({dropped} more like this were not logged)"
            record.args = ()
        self._calls[call] = (tokens - 1, record.created, 0)
        return True


class TextFormatter(logging.Formatter):
    """`2026-01-02T03:04:05.678+0100 INFO chain: message`, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback after it where there is one."""
        name = record.name.removeprefix("groat.")
        line = f"{_when(self, record)} {record.levelname} {name}: {_message(record)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """time (ISO 8601), level, logger, message, and traceback where there is one."""
        fields = {
            "time": _when(self, record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def start_logging(log_format: str, log_file: Path | None) -> logging.Handler:
    """Send all loggers there; returns the handler, to be closed. Raises OSError for the file."""
    handler: logging.Handler = logging.StreamHandler()
    if log_file:
        handler = logging.handlers.RotatingFileHandler(
            log_file, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT, encoding="utf-8"
        )
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    handler.addFilter(Allowance())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return handler


def stop_logging(handler: logging.Handler) -> None:
    """Undo `start_logging`."""
    logging.getLogger().removeHandler(handler)
    handler.close()


def _when(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    seconds, zone = formatter.formatTime(record, "%Y-%m-%dT%H:%M:%S"), formatter.formatTime(record, "%z")
    return f"{seconds}.{int(record.msecs):03d}{zone}"


def _message(record: logging.LogRecord) -> str:
    """The record's message on one line, whatever a peer put into it."""
    message = record.getMessage()
    message = message if len(message) <= LINE_MAX else message[: LINE_MAX - 3] + "..."
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
