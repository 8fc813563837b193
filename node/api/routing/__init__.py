"""The way of a request to its route: declaration (route), dispatch (dispatcher), access rules (auth)."""
