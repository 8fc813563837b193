"""groatd. `python -m node` and the console script start here."""

import gc

# Importing makes 100,000 objects and no garbage: the collector would take a seventh of the start.
gc.disable()
from node.cli import main  # noqa: E402

gc.freeze()
gc.enable()

if __name__ == "__main__":
    main()
