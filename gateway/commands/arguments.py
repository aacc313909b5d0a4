"""What several commands share: their arguments, spelled and explained in one way, and how they read FILE."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core.config import Config

ConfigFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="Configuration: *.toml, *.yaml, *.yml or *.json.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]


def read_config(file: Path) -> Config:
    """Return the configuration; raise ConfigInvalid."""
    from gateway.config import load

    with contextlib.redirect_stdout(sys.stderr):  # NOTE: applications may print while they are imported
        return load(file)
