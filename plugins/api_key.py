"""The api-key plugin: consumers known by a key that they send."""

from __future__ import annotations

import time
from typing import Annotated

from msgspec import Meta

from core.authentication.authenticator import Authenticator, Found
from core.authentication.credential_place import CredentialPlace, Places
from core.authentication.identity import Identity
from core.exchange import Exchange
from core.plugin import PluginConfig
from core.site import Site

REMEMBERED = 10_000  # keys whose identity is kept
LONGEST = 512  # bytes of a key


class ApiKey(Authenticator):
    """Let in who sends the key of a consumer; 401 without one, or with one that is nobody's.

    Keys are those of the configuration's consumers. What is remembered of a key is void at once when
    consumers change, and when the key expires. The target does not see the key.
    """

    class Config(PluginConfig, frozen=True):
        """Options of api-key."""

        places: Annotated[
            tuple[CredentialPlace, ...],
            Meta(min_length=1, description="where a key may be; the first that has one counts"),
        ] = (CredentialPlace("header:x-api-key"),)
        hide: Annotated[bool, Meta(description="keep the key from the target")] = True
        optional: Annotated[bool, Meta(description="let requests without a key go on, as nobody's")] = False

    def __init__(self, config: Config, site: Site) -> None:
        super().__init__(config, site, challenge=f'ApiKey realm="{site.name}"', optional=config.optional)
        self._consumers = site.consumers
        self._places = Places(config.places)
        self._hide = config.hide
        self._version = -1
        self._known: dict[bytes, tuple[Identity, int]] = {}  # key -> whose it is, when it expires (0: never)

    def authenticate(self, exchange: Exchange) -> Found:
        """Return whose key the request has."""
        key = self._places.find(exchange)
        if key is None:
            return None
        if self._version != self._consumers.version:
            self._version = self._consumers.version
            self._known.clear()
        known = self._known.get(key)
        if known is not None and (not known[1] or known[1] > time.time_ns()):
            return known[0]
        return self._look_up(key)

    def forward(self, exchange: Exchange) -> None:
        """Tell the target the consumer, not the key."""
        super().forward(exchange)
        if self._hide:
            self._places.hide(exchange)

    def _look_up(self, key: bytes) -> Found:
        self._known.pop(key, None)
        found = self._consumers.of_key(key, time.time_ns()) if len(key) <= LONGEST else None
        if found is None:
            return self.refused("The key is nobody's, or no longer.")
        consumer, credential = found
        identity = Identity(consumer.name, scheme="api-key", groups=consumer.groups, credential=credential.id)
        if len(self._known) >= REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[key] = identity, credential.expires_ns
        return identity
