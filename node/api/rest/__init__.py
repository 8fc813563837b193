"""Routes for `GET` and `POST`: Esplora's by topic, events, metrics, the API's description.

Each module has its `ROUTES`, and `table.py` has all of them. A route names its path, its handler and its schema
(`node/api/routing/route.py`).
"""
