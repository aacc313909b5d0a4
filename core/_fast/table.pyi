# Compiled code alone calls this module: see table.pxd.
