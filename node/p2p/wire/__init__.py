"""The peer protocol: the bytes of messages, and their HTTP routes. docs/network.md describes every byte.

A message: `codec.py` finds the layout of a route, decodes its fields with the formats of `fields.py`, each of which has
a limit, and makes a value of `interface/messages.py`; anything left over or out of bounds is malformed.

Reading order: fields, compact_fields, codec, sizes; short_txid by itself.
"""
