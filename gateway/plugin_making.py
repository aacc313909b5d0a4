"""Make the plugins of a configuration, each for the place where it stands.

The rule it guards: a plugin that cannot be made is reported like any other mistake, with its key path.
Called by gateway/snapshot for serving, and by `agora check`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from core.config import Config, PluginUse
from core.decode import ConfigInvalid, ConfigProblem
from core.plugin import Plugin
from core.private_site import private_site
from core.route_pattern import parse_path
from core.site import Site


def make_plugin(
    use: PluginUse, site: Site, place: str, route: str = "", parameters: tuple[str, ...] | None = None
) -> Plugin:
    """Return a plugin; raise ConfigInvalid naming ``place``, its key path, if its class refuses."""
    try:
        plugin: Plugin = use.plugin(use.config, replace(site, route=route, parameters=parameters))
    except Exception as error:
        wrong = f"plugin {use.use!r} cannot be made: {type(error).__name__}: {error}"
        raise ConfigInvalid([ConfigProblem("", place, wrong)]) from error
    return plugin


def find_unmakable(config: Config) -> list[ConfigProblem]:
    """Make every plugin once, with rates and metrics of its own, and return what went wrong."""
    problems: list[ConfigProblem] = []
    site = private_site(config.server.data_dir)
    for use, place, route, parameters in _places(config):
        try:
            make_plugin(use, site, place, route, parameters)
        except ConfigInvalid as error:
            problems += error.problems
    return problems


def _places(config: Config) -> Iterator[tuple[PluginUse, str, str, tuple[str, ...] | None]]:
    for number, use in enumerate(config.plugin):
        yield use, f"plugin[{number}]", "", None
    for index, route in enumerate(config.route):
        _, names = parse_path(route.path)
        for number, use in enumerate(route.plugin):
            yield use, f"route[{index}].plugin[{number}]", route.name, names
