"""`agora plugins`: show every plugin with its phases and options, as its config struct declares them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.arguments import AsJson
from gateway.terminal import print_error, print_json, print_line, print_record, print_table

if TYPE_CHECKING:
    from gateway.plugin_view import PluginView


def plugins(
    use: Annotated[
        str | None, typer.Argument(metavar="[USE]", help="Only this one: its name, or package.module:Class.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the plugins, built-in and installed, with their options, defaults and units."""
    from msgspec import to_builtins

    from core.plugins import find_plugin
    from gateway.config import search_modules_in
    from gateway.plugin_view import plugin_view, usable_plugins

    search_modules_in(Path.cwd())
    if use is not None:
        views = [plugin_view(use, find_plugin(use))]
    else:
        found, broken = usable_plugins()
        for problem in broken:
            print_error(problem)
        views = [plugin_view(name, plugin) for name, plugin in found.items()]
    if as_json:
        print_json(to_builtins(views))
        return
    for view in views:
        if sys.stdout.isatty():
            _show(view)
        else:
            _list(view)


def _show(view: PluginView) -> None:
    print_line(view.use, "bold cyan")
    print_line(f"  {view.summary}")
    print_line(f"  acts at: {', '.join(view.phases)}", "dim")
    rows = [
        (option.name, option.type, "required" if option.required else option.default, option.description)
        for option in view.options
    ]
    if rows:
        print_table(("option", "type", "default", "what it is for"), rows)
    else:
        print_line("")


def _list(view: PluginView) -> None:
    """Print a line for the plugin, then one for each option."""
    print_record((view.use, "", ", ".join(view.phases), "", view.summary))
    for option in view.options:
        default = "required" if option.required else option.default
        print_record((view.use, option.name, option.type, default, option.description))
