"""All that goes on between peers, without sockets, clock or threads: `network.py` puts it together."""
