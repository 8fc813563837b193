"""The proof-of-work loop in C, where a compiler built it: `_hashloop.c`."""

LOOPS: tuple[str, ...]
"""Those that run on this processor, best first."""
MOST_NONCES: int
"""How many one call may be asked to try."""

def scan(header: bytes, target: bytes, first: int, count: int, loop: str, /) -> int | None: ...
