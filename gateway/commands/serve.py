"""`agora serve FILE`: run the gateway until it is told to stop."""

from __future__ import annotations

import typer

from gateway.commands.arguments import ConfigFile


def serve(file: ConfigFile) -> None:
    """Run the gateway; SIGTERM drains it, SIGHUP and a changed FILE reload it."""
    from gateway.serve import run

    raise typer.Exit(run(file))
