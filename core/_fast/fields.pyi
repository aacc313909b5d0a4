# Nothing here is visible to Python: see fields.pxd.
