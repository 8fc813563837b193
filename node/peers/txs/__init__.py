"""Unconfirmed transactions between peers."""
