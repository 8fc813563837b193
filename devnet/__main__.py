"""`python -m devnet`."""

from devnet.cli import main

if __name__ == "__main__":
    main()
