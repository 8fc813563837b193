"""The HTTP server: sockets, connections, requests cut out of bytes, workers, streams. waitress below, limits on top.

A request: listener accepts the connection if its gate lets it in, channel reads it within a deadline,
request_parser and chunked_body cut it out of the bytes, worker_pool runs the handler, and its `Response` (message) is
written; a `Stream` (streaming) is written piece by piece as it comes into being.

Reading order: message, gate, chunked_body, request_parser, worker_pool, streaming, channel, listener;
conditional (entity tags and ranges) by itself.
"""
