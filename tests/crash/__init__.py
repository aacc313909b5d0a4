"""Kill, starve and unplug the event log, and hold what is left to what was acknowledged."""
