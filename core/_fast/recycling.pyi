# Nothing here is visible to Python: see recycling.pxd.
