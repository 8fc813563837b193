"""The API's description of itself: OpenAPI for programs, a page for people."""
