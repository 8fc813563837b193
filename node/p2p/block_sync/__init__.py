"""Headers and blocks between peers."""
