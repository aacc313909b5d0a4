"""A plugin as people see it: what it is for, when it acts, what its options are.

All of it comes from the class: its docstring, its methods and its `Config` struct. `agora plugins` shows
it.
"""

from __future__ import annotations

from typing import cast

import msgspec

from core.describe import field_docs
from core.errors import PluginInvalid, PluginUnknown
from core.plugin import PHASES, Plugin
from core.plugins import builtin_plugins, find_plugin, third_party_plugins


class OptionView(msgspec.Struct, frozen=True):
    """Be one option of a plugin."""

    name: str
    type: str  # in words, the unit included
    required: bool
    default: str  # as it would be written in a file; empty if there is none
    description: str


class PluginView(msgspec.Struct, frozen=True):
    """Be one plugin."""

    use: str
    summary: str  # first line of the class's docstring
    phases: tuple[str, ...]
    options: tuple[OptionView, ...]


def plugin_view(use: str, plugin: type) -> PluginView:
    """Return what a plugin's class says about itself."""
    docs = field_docs(cast(type[Plugin], plugin).Config)
    options = [
        OptionView(doc.name, doc.words, doc.required, doc.default_text, doc.description)
        for doc in docs.values()
    ]
    summary = (plugin.__doc__ or "").strip().partition("\n")[0]
    return PluginView(use, summary, plugin_phases(plugin), tuple(options))


def plugin_phases(plugin: type) -> tuple[str, ...]:
    """Return the phases in which a plugin acts, in their order."""
    return tuple(phase for phase in PHASES if callable(getattr(plugin, phase, None)))


def usable_plugins(third_party: bool = True) -> tuple[dict[str, type[Plugin]], list[str]]:
    """Return the plugins by name, built-in ones first, and what is wrong with installed ones of no use."""
    found = {use: cast(type[Plugin], plugin) for use, plugin in builtin_plugins().items()}
    broken = []
    for use in sorted(third_party_plugins()) if third_party else ():
        try:
            found[use] = cast(type[Plugin], find_plugin(use))
        except (PluginUnknown, PluginInvalid) as error:
            broken.append(f"plugin {use!r}: {error}")
    return found, broken
