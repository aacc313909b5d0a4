"""`agora routes FILE`: show what matches what, through which plugins, to which target."""

from __future__ import annotations

from gateway.commands.arguments import AsJson, ConfigFile, read_config
from gateway.terminal import print_json, print_table

HEADINGS = ("route", "methods", "hosts", "path", "plugins", "target")


def routes(file: ConfigFile, as_json: AsJson = False) -> None:
    """List the routes in FILE with their plugins in the order in which they act."""
    from msgspec import to_builtins

    from gateway.route_view import route_views

    views = route_views(read_config(file))
    if as_json:
        print_json(to_builtins(views))
        return
    rows = [
        (
            view.route,
            ", ".join(view.methods) or "any",
            ", ".join(view.hosts) or "any",
            view.path,
            ", ".join(view.plugins) or "-",
            view.target,
        )
        for view in views
    ]
    print_table(HEADINGS, rows)
