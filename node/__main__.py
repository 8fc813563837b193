"""groatd. `python -m node` and the console script start here."""

from node.cli import main

if __name__ == "__main__":
    main()
