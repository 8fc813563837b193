"""State that lives longer than one request: the event feed, coin scans, template cache, request metrics."""
