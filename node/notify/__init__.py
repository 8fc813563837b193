"""Bitcoin Core's ZeroMQ notifications: topics, bodies and sequence numbers as in its doc/zmq.md.

An event is queued under the lock, up to a limit in bytes; the publisher's thread makes Core's messages of it.

Reading order: zmq_messages, zmq_publisher (imported where `--zmq` is given).
"""
