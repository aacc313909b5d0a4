"""Find plugin classes by the name a configuration uses: built-in, entry point, or ``module:Class``."""

from __future__ import annotations

import difflib
import importlib
from functools import cache
from importlib.metadata import entry_points

from core.errors import PluginInvalid, PluginUnknown
from core.plugin import check_plugin

ENTRY_POINT_GROUP = "agora.plugins"


@cache
def builtin_plugins() -> dict[str, type]:
    """Return the built-in plugins' classes by their ``use`` names."""
    table: dict[str, str] = importlib.import_module("plugins").BUILT_IN
    return {use: load_plugin(path) for use, path in table.items()}


@cache
def third_party_plugins() -> dict[str, str]:
    """Return the import paths of installed third-party plugins by their ``use`` names."""
    return {entry.name: entry.value for entry in entry_points(group=ENTRY_POINT_GROUP)}


@cache
def find_plugin(use: str) -> type:
    """Return the checked class for a ``use`` name; raise PluginUnknown or PluginInvalid."""
    built_in = builtin_plugins()
    if use in built_in:
        return built_in[use]
    third_party = third_party_plugins()
    if use in third_party:
        return load_plugin(third_party[use])
    if ":" in use:
        return load_plugin(use)
    close = difflib.get_close_matches(use, [*built_in, *third_party], n=1)
    listed = "`agora plugins` lists them; own ones are `module:Class`"
    hint = f"did you mean {close[0]!r}?" if close else listed
    raise PluginUnknown(f"no plugin is called {use!r}; {hint}")


def load_plugin(path: str) -> type:
    """Import ``module:Class`` and hold it to the contract."""
    module_name, _, class_name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except ImportError as error:
        raise PluginUnknown(f"{path!r} cannot be imported: {error}") from error
    except AttributeError:
        raise PluginUnknown(f"module {module_name!r} has no class {class_name!r}") from None
    if not isinstance(found, type):
        raise PluginInvalid(f"{path!r} is not a class")
    check_plugin(found)
    return found
