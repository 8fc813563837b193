"""Answers of the node's two listeners. ARCHITECTURE.md has the modules; `app.py` is where to begin."""
