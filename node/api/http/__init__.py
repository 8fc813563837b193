"""The HTTP server: sockets, connections, requests cut out of bytes, workers, streams."""
