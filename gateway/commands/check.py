"""`agora check FILE`: find every mistake in a configuration without serving it."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import typer

from gateway.commands.arguments import AsJson, ConfigFile, read_config
from gateway.terminal import print_json, print_line, print_problems

if TYPE_CHECKING:
    from core.config import Config


def check(file: ConfigFile, as_json: AsJson = False) -> None:
    """Check FILE, all that it names included: plugins, applications, certificates, secrets."""
    from msgspec import to_builtins
    from msgspec.structs import replace

    from core.decode import ConfigInvalid
    from gateway.plugin_making import find_unmakable

    try:
        config = read_config(file)
        with contextlib.redirect_stdout(sys.stderr):
            problems = find_unmakable(config)
        if problems:
            raise ConfigInvalid([replace(problem, file=str(file)) for problem in problems])
    except ConfigInvalid as error:
        if as_json:
            print_json({"valid": False, "problems": to_builtins(error.problems)})
        else:
            print_problems(error.problems)
        raise typer.Exit(1) from None
    if as_json:
        print_json({"valid": True, "problems": []})
    else:
        print_line(f"{file}: no mistakes ({_contents(config)})", "green")


def _contents(config: Config) -> str:
    plugins = len(config.plugin) + sum(len(route.plugin) for route in config.route)
    counts = {
        "route": len(config.route),
        "upstream": len(config.upstream),
        "plugin": plugins,
        "consumer": len(config.consumer),
    }
    return ", ".join(f"{count} {noun}{'s' * (count != 1)}" for noun, count in counts.items())
