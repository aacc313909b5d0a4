"""The contract of plugins: what a class must look like, and what it may ask for.

The plan binds a plugin's methods once at start-up (core/plan.py); this file says which methods count,
which of them may wait, and refuses classes that break the contract.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from core.errors import PluginInvalid

Side = Literal["request", "response"]

PHASES = ("accept", "request", "forward", "response", "chunk", "log")
WAITING_PHASES = frozenset({"request", "forward", "response"})
REVERSED_PHASES = frozenset({"response", "log"})


class PluginConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Be the base of every plugin's options: frozen and strict, a line for each field."""


class Plugin:
    """Be the optional base of plugins; any class with a ``Config`` and phase methods will do.

    A phase method takes the exchange. ``accept`` and ``request`` return None to go on or a Response to
    answer now; ``chunk(exchange, side, piece, last)`` returns None or, if ``rewrites_bodies`` is true or its
    ``response`` has set ``exchange.response.rewritten``, the bytes that take the piece's place.
    """

    Config: ClassVar[type[PluginConfig]] = PluginConfig
    rewrites_bodies: ClassVar[bool] = False  # chunk() may change lengths: Content-Length is not forwarded
    unused: frozenset[str] = frozenset()  # phases that this instance has no work in: left out of its plans
    request_body_limit: int = 0  # bytes of request body to hold before `request` runs; 0: stream it

    response_body_limit: int = 0  # bytes of response body to hold before `response` runs; 0: stream it

    def __init__(self, config: PluginConfig, site: Any) -> None:
        self.config = config

    async def open(self) -> None:
        """Start what the plugin needs running, before its plan serves."""

    async def close(self) -> None:
        """Stop what was opened, after the last exchange of its plan has ended."""


def bind_phase(plugins: Sequence[Any], phase: str) -> list[Callable[..., Any]]:
    """Return the plugins' bound methods for a phase in calling order, less what an instance leaves unused."""
    found = [
        getattr(plugin, phase)
        for plugin in plugins
        if callable(getattr(plugin, phase, None)) and phase not in getattr(plugin, "unused", ())
    ]
    return found[::-1] if phase in REVERSED_PHASES else found


def plan_arguments(plugins: Sequence[Any]) -> dict[str, Any]:
    """Return what a plan is made with for these plugins: their bound phases, and what they ask of bodies."""
    arguments: dict[str, Any] = {phase: bind_phase(plugins, phase) for phase in PHASES if phase != "accept"}
    return arguments | {
        "rewrites_bodies": any(getattr(plugin, "rewrites_bodies", False) for plugin in plugins),
        "hold_request": max((getattr(plugin, "request_body_limit", 0) for plugin in plugins), default=0),
        "hold_response": max((getattr(plugin, "response_body_limit", 0) for plugin in plugins), default=0),
    }


def check_plugin(plugin_class: type) -> None:
    """Raise PluginInvalid, naming class, method and cure, if the class breaks the contract."""
    name = f"{plugin_class.__module__}:{plugin_class.__qualname__}"
    config = getattr(plugin_class, "Config", None)
    if not (isinstance(config, type) and issubclass(config, PluginConfig)):
        raise PluginInvalid(f"{name} has no options struct; declare `class Config(PluginConfig)` in it")
    found = [phase for phase in PHASES if callable(getattr(plugin_class, phase, None))]
    if not found:
        raise PluginInvalid(f"{name} has no phase method; define one of {', '.join(PHASES)}")
    for phase in found:
        _check_phase(name, phase, getattr(plugin_class, phase))


def _check_phase(name: str, phase: str, method: Any) -> None:
    if inspect.iscoroutinefunction(method) and phase not in WAITING_PHASES:
        raise PluginInvalid(
            f"{name}.{phase} is a coroutine, and {phase} may not wait; make it a plain `def`, "
            f"or do the waiting in {', '.join(sorted(WAITING_PHASES))}"
        )
    if inspect.isasyncgenfunction(method) or inspect.isgeneratorfunction(method):
        raise PluginInvalid(f"{name}.{phase} is a generator; make it a plain `def` or `async def`")
    wanted = 4 if phase == "chunk" else 1
    if isinstance(inspect.getattr_static(method, "__self__", None), type):
        return  # a classmethod: its signature is already bound
    try:
        inspect.signature(method).bind(*range(wanted + 1))
    except TypeError:
        arguments = "self, exchange" + (", side, piece, last" if phase == "chunk" else "")
        raise PluginInvalid(
            f"{name}.{phase} has other parameters; write `def {phase}({arguments})`"
        ) from None
    except ValueError:
        return  # a compiled method without a signature
