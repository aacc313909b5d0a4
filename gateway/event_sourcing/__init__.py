"""The HTTP API of the event sourcing engine: /api/v1/event-sourcing."""
