"""Hold the engines: capabilities with a lifecycle and an API; none imports another."""
