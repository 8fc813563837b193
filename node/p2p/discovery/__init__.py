"""Address management: endpoints of other nodes, the address book, the ways of finding more."""
