"""The allow plugin: which consumers, groups and claims may come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from core._fast.message import Response
from core.authentication.authenticator import MISSING
from core.authentication.identity import NO_CLAIMS, Identity
from core.errors import PluginInvalid, Problem
from core.exchange import Exchange
from core.plugin import Plugin, PluginConfig
from core.site import Site
from core.table import Name

FORBIDDEN = Problem(403, "not-allowed", "This is not allowed")
REMEMBERED = 4096  # identities whose verdict is kept


class Allow(Plugin):
    """Let in the consumers that a rule names; 403 for others, 401 where nobody was recognised.

    A consumer comes in by its name, by one of its groups, or by its claims, unless it is denied. Stands after
    the plugins that authenticate.
    """

    class Config(PluginConfig, frozen=True):
        """Options of allow."""

        consumers: Annotated[tuple[str, ...], Meta(description="names that may come in")] = ()
        groups: Annotated[tuple[Name, ...], Meta(description="groups whose members may come in")] = ()
        claims: Annotated[
            dict[str, tuple[str, ...]],
            Meta(description="claims that must each have one of the values, alone, in a list or as a word"),
        ] = {}  # noqa: RUF012 (a struct copies it)
        deny: Annotated[
            tuple[str, ...], Meta(description="names and groups that may not, whatever else")
        ] = ()

    def __init__(self, config: Config, site: Site) -> None:
        if not (config.consumers or config.groups or config.claims or config.deny):
            raise PluginInvalid("has no rule; give consumers, groups, claims or deny")
        self._consumers = frozenset(config.consumers)
        self._groups = frozenset(config.groups)
        self._claims = {name: frozenset(values) for name, values in config.claims.items()}
        self._deny = frozenset(config.deny)
        self._anyone = not (config.consumers or config.groups or config.claims)
        self._missing = Response.problem_of(MISSING)
        self._forbidden = Response.problem_of(FORBIDDEN)
        self._verdicts: dict[Identity, bool] = {}

    def request(self, exchange: Exchange) -> Response | None:
        """Refuse who may not come in."""
        consumer = exchange.consumer
        if consumer is None:
            return self._missing
        known = self._verdicts.get(consumer)
        if known is None:
            known = self._judge(consumer)
        return None if known else self._forbidden

    def _judge(self, consumer: Any) -> bool:
        if not isinstance(consumer, Identity):
            name = consumer if isinstance(consumer, str) else consumer.name
            return self._may(name, getattr(consumer, "groups", frozenset()), NO_CLAIMS)
        verdict = self._may(consumer.name, consumer.groups, consumer.claims)
        if len(self._verdicts) >= REMEMBERED:
            self._verdicts.pop(next(iter(self._verdicts)))
        self._verdicts[consumer] = verdict
        return verdict

    def _may(self, name: str, groups: frozenset[str], claims: Mapping[str, Any]) -> bool:
        if name in self._deny or not groups.isdisjoint(self._deny):
            return False
        if self._anyone or name in self._consumers or not groups.isdisjoint(self._groups):
            return True
        return bool(self._claims) and all(
            not wanted.isdisjoint(words(claims.get(claim))) for claim, wanted in self._claims.items()
        )


def words(value: Any) -> set[str]:
    """Return what a claim says: itself, the items of a list, the words of a text."""
    if isinstance(value, str):
        return {value, *value.split()}
    if isinstance(value, bool):
        return {"true" if value else "false"}
    if isinstance(value, int | float):
        return {str(value)}
    return {item for item in value if isinstance(item, str)} if isinstance(value, list | tuple) else set()
