"""The API's description of itself, made from the tables of routes and methods: OpenAPI (openapi), a page (page)."""
