"""Hold the compiled hot path: bytes, numbers and tuples, without configuration or domain."""
