"""The way of a request to its route: host and origin checks, credentials, dispatch."""
