# Nothing here is visible to Python: see event_values.pxd.
