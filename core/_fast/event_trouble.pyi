# Nothing here is visible to Python: see event_trouble.pxd.
