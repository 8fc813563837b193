"""Where other nodes may be found: addresses, their book, the ways of finding more."""
