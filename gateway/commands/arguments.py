"""The arguments that several commands share, spelled and explained in one way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="Configuration: *.toml, *.yaml, *.yml or *.json.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
