"""Hold the built-in plugins, one file each; the table is their list."""

BUILT_IN: dict[str, str] = {}
