"""Hold the subcommands of `agora`, one file each; the table is their list, in the order of the help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from gateway.commands.check import check
from gateway.commands.demo import demo
from gateway.commands.explain import explain
from gateway.commands.hash_password import hash_password
from gateway.commands.log import log
from gateway.commands.plugins import plugins
from gateway.commands.requests import requests
from gateway.commands.routes import routes
from gateway.commands.schema import schema
from gateway.commands.serve import serve

COMMANDS: dict[str, Callable[..., Any]] = {
    "serve": serve,
    "check": check,
    "routes": routes,
    "explain": explain,
    "plugins": plugins,
    "schema": schema,
    "requests": requests,
    "hash-password": hash_password,
    "demo": demo,
}

GROUPS: dict[str, typer.Typer] = {"log": log}  # of commands
