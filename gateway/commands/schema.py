"""`agora schema`: print the JSON Schema of configurations."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.terminal import print_error, print_json


def schema(
    built_in: Annotated[
        bool, typer.Option("--built-in", help="Leave out other plugins that are installed here.")
    ] = False,
) -> None:
    """Print the JSON Schema of configurations, for editors."""
    from gateway.plugin_view import usable_plugins
    from gateway.schema import config_schema

    plugins, broken = usable_plugins(third_party=not built_in)
    for problem in broken:
        print_error(problem)
    print_json(config_schema(plugins))
