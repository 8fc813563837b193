"""The values that cross the core's border: effects out, storage in, events, counters, mock time."""
