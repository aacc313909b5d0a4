# Nothing here is visible to Python: see admission.pxd.
