"""The address manager: known endpoints in new and tried buckets, and how often they are dialled."""
