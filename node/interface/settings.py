"""Settings that the command line has to know before anything else is imported: limits, choices, complaints."""

MINE_INTERVAL_S = 10
"""Between the blocks of `regtest --mine`."""
INTERVAL_MAX_S = 1_000_000.0
THREADS_MAX = 1024
"""Miner processes."""
BULK_KB_MAX = 10_000_000
"""Kilobytes a second."""
BULK_KB = 4_000
"""Upload for bulk where the operator does not say, in kB/s."""
ENGINES = ("auto", "libsecp256k1", "python")
ROLES = ("full", "pruned", "relay", "light")
"""Roles of a node; the first where the operator does not say."""


class ConfigError(ValueError):
    """A setting that cannot be used; one line that says which and why."""


class BadOption(ConfigError):
    """An option with a value that cannot be used on any machine: wrong usage."""
