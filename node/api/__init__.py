"""What the node's two listeners answer. ARCHITECTURE.md has the modules; `app.py` is where to begin."""
