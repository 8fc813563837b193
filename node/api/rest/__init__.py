"""What `GET` and `POST` routes answer: Esplora's, events, metrics. Each module has its `ROUTES`."""
