"""`agora log`: what can be done with an event log; one file for each command, the table is their list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from gateway.commands.log_backup import backup
from gateway.commands.log_drop import drop
from gateway.commands.log_erase import erase
from gateway.commands.log_export import export
from gateway.commands.log_import import import_
from gateway.commands.log_show import show
from gateway.commands.log_stat import stat
from gateway.commands.log_tail import tail
from gateway.commands.log_verify import verify

COMMANDS: dict[str, Callable[..., Any]] = {
    "stat": stat,
    "tail": tail,
    "show": show,
    "verify": verify,
    "backup": backup,
    "export": export,
    "import": import_,
    "erase": erase,
    "drop": drop,
}

log = typer.Typer(
    help="Look into the event log; verify, back up, export and import it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for name, command in COMMANDS.items():
    log.command(name)(command)
