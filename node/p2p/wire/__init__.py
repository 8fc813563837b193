"""The peer protocol: messages as values, their bytes, their HTTP routes. docs/network.md describes every byte.

A message: `codec.py` finds the layout of a route, decodes its fields with the formats of `fields.py`, each of which has
a limit, and makes a value of `messages.py`; anything left over or out of bounds is malformed.

Reading order: messages, fields, compact_fields, codec, sizes; short_txid and bounded by themselves.
"""
