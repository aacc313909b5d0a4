"""The `agora` command: its subcommands, and what becomes of errors.

Exit codes: 0 done; 1 the configuration is wrong, the log is damaged, or the command failed; 2 the command
line is wrong; 3 `explain` found no route; 130 interrupted. Modules that take time to import are imported by
the command that needs them.
"""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from core.errors import AgoraError
from gateway.commands import COMMANDS, GROUPS
from gateway.terminal import print_error, print_problems

EPILOG = (
    "Exit codes: 0 done; 1 the configuration is wrong, the log is damaged, or the command failed; "
    "2 the command line is wrong; 3 `explain` found no route; 130 interrupted."
)

app = typer.Typer(
    name="agora",
    help="API gateway for Python teams: plain Python plugins on a compiled hot path.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # NOTE: they would print local variables, secrets among them
)
for name, command in COMMANDS.items():
    app.command(name)(command)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"agora {version('agora')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    from core.decode import ConfigInvalid

    try:
        app(prog_name="agora")
    except ConfigInvalid as error:
        print_problems(error.problems)
    except AgoraError as error:
        print_error(str(error))
    sys.exit(1)


if __name__ == "__main__":
    main()
