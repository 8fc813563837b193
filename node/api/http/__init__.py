"""The HTTP server: sockets, connections, requests cut out of bytes, workers, streams. asyncio and httptools below.

A request: the listener accepts the connection if its gate lets it in, the channel reads it within a deadline,
request_parser cuts it out of the bytes, a worker runs the handler, and its `Response` (message) is encoded and written;
a `Stream` (streaming) is written piece by piece as it comes into being.

Reading order: message, gate, request_header, request_body, request_parser, site, worker_pool, streaming,
response_encoder, channel, connection_table, listener; conditional (entity tags and ranges) by itself.
"""
