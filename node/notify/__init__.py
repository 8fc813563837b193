"""Notifications in Core's ZMQ format."""
