"""Turn commands into events and events into tables, effects and processes, on one event log."""
