"""A Video Log Analyzer that behaves like the real one: seeded traffic, scenarios of trouble, and an HTTP server."""
