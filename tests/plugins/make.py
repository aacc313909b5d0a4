"""Make built-in plugins as a configuration would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.decode import Decoder
from core.plugins import builtin_plugins
from core.site import Site
from core.testing import site_for


def plugin(use: str, site: Site | None = None, **options: Any) -> Any:
    """Return a built-in plugin, on a route called test unless a site says otherwise."""
    built_in: Any = builtin_plugins()[use]
    config = Decoder(folder=Path("/etc/agora")).decode(options, built_in.Config)
    return built_in(config, site or site_for(route="test"))
