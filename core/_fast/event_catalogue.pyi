# Nothing here is visible to Python: see event_catalogue.pxd.
