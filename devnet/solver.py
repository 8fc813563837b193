"""A helper process: reads headers as hex, a line each, and answers with the solved header or `-`.

Ends when its input closes, so none is left behind whatever happens to the command that started it.
"""

import sys

from chain.block import decode_header
from chain.blocktemplate import solve

HASHES_PER_LINE = 4096
"""A few milliseconds: no longer does a helper go on with work that nobody wants any more."""


def main() -> None:
    """Serve standard input until it closes."""
    for line in sys.stdin:
        solved = solve(decode_header(bytes.fromhex(line)), HASHES_PER_LINE)
        print(solved.raw.hex() if solved else "-", flush=True)


if __name__ == "__main__":
    main()
