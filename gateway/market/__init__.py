"""The opinion market on the event sourcing engine, and its API: where the two are joined."""
