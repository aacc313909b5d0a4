"""The authenticate plugin: several ways to authenticate on one route."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Annotated, Any

from msgspec import Meta

from core.authentication.authenticator import MISSING, Authenticator, Found, challenged
from core.authentication.identity import Identity
from core.config import PluginUse
from core.decode import FieldInvalid
from core.exchange import Exchange, Response
from core.plugin import PluginConfig
from core.site import Site

Waiting = Coroutine[Any, Any, Found]
Known = tuple[Identity | None, ...]  # what members have found so far


class Authenticate(Authenticator):
    """Let in who one of several authenticators knows, or who all of them know.

    With `any`, the first that finds a credential of its kind decides: one that does not hold is not saved by
    another. With `all`, each has to find one that holds, and the first says who the consumer is. They stand
    here as they would on the route, each with its options; their own `optional` has no meaning here.
    """

    class Config(PluginConfig, frozen=True):
        """Options of authenticate."""

        any: Annotated[tuple[PluginUse, ...], Meta(description="authenticators of which one must know")] = ()
        all: Annotated[tuple[PluginUse, ...], Meta(description="authenticators that all must know")] = ()
        optional: Annotated[bool, Meta(description="let requests without any go on, as nobody's")] = False

        def __post_init__(self) -> None:
            if bool(self.any) == bool(self.all):
                raise FieldInvalid("has any and all" if self.any else "has neither any nor all", "give one")
            for key in ("any", "all"):
                for index, use in enumerate(getattr(self, key)):
                    if not issubclass(use.plugin, Authenticator):
                        raise FieldInvalid(
                            f"{use.use!r} does not authenticate",
                            "name jwt or the like",
                            f"{key}[{index}].use",
                        )

    def __init__(self, config: Config, site: Site) -> None:
        uses = config.any or config.all
        self._members: list[Authenticator] = [use.plugin(use.config, site) for use in uses]
        challenge = ", ".join(dict.fromkeys(member.challenge.decode() for member in self._members))
        super().__init__(config, site, challenge=challenge, optional=config.optional)
        self._decide = self._any if config.any else self._all
        self._partly = challenged(MISSING, self.challenge, "Another kind of credentials is needed too.")

    async def open(self) -> None:
        """Open the members."""
        for member in self._members:
            await member.open()

    async def close(self) -> None:
        """Close the members."""
        for member in self._members:
            await member.close()

    def authenticate(self, exchange: Exchange) -> Found | Waiting:
        """Return who the request speaks for."""
        found: Found | Waiting = self._decide(exchange, self._members, ())
        return found

    def forward(self, exchange: Exchange) -> None:
        """Tell the target who the request speaks for; what a member hides, stays hidden."""
        for member in self._members:
            member.forward(exchange)

    def _any(self, exchange: Exchange, members: Sequence[Authenticator], _: Known) -> Any:
        for index, member in enumerate(members):
            found = member.authenticate(exchange)
            if isinstance(found, Coroutine):
                return self._any_later(exchange, found, members[index + 1 :])
            if found is not None:
                return found
        return None

    async def _any_later(
        self, exchange: Exchange, waiting: Waiting, others: Sequence[Authenticator]
    ) -> Found:
        found: Found | Waiting = await waiting
        if found is None:
            found = self._any(exchange, others, ())
        return await found if isinstance(found, Coroutine) else found

    def _all(self, exchange: Exchange, members: Sequence[Authenticator], known: Known) -> Any:
        for index, member in enumerate(members):
            found = member.authenticate(exchange)
            if isinstance(found, Coroutine):
                return self._all_later(exchange, found, members[index + 1 :], known)
            if isinstance(found, Response):
                return found
            known = *known, found
        return self._together(known)

    async def _all_later(
        self, exchange: Exchange, waiting: Waiting, others: Sequence[Authenticator], known: Known
    ) -> Found:
        found: Found = await waiting
        if isinstance(found, Response):
            return found
        rest: Found | Waiting = self._all(exchange, others, (*known, found))
        return await rest if isinstance(rest, Coroutine) else rest

    def _together(self, known: Known) -> Found:
        """Return what all have found: the first one's consumer, if each has found one."""
        if None in known and any(known):
            return self._partly
        return known[0]
