"""The peer protocol, without sockets, clock or threads: `network.py` puts it together."""
