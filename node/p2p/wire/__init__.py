"""The peer protocol: messages, their bytes, their routes."""
