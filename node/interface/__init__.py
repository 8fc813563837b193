"""Values that cross the core's border: effects out, messages between nodes, storage in, events, counters, mock time.

Owns no state but the counters'. A call of the core returns a `Step`: a reply, and effects that the runtime
carries out; the core calls only the `Store`.

Reading order: endpoint, messages, checked_block, events, disconnect_reason, effects, outbox, storage, counters,
wall_clock, mock_time; settings is for the command line.
"""
