"""The standing of peers: scores, places, rations, roles, limits."""
