"""Routes for `GET` and `POST`: Esplora's, events, metrics. Each module has its `ROUTES`."""
