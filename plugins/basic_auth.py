"""The basic-auth plugin: consumers known by name and password (RFC 7617)."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Coroutine
from typing import Annotated, Any

from msgspec import Meta

from core.authentication.authenticator import Authenticator, Found
from core.authentication.identity import Identity
from core.authentication.password import LONGEST, NOBODY, verify
from core.errors import Problem
from core.exchange import Exchange, Response
from core.plugin import PluginConfig
from core.site import Site

REMEMBERED = 10_000  # passwords that are kept as digests, once they were found right
BUSY = Problem(503, "authentication-busy", "Too many passwords are being checked", "internal", True)


class BasicAuth(Authenticator):
    """Let in who sends the name of a consumer and its password; 401 without them, or with a wrong one.

    A comparison takes about 50 ms of a core and 64 MiB of memory, in a thread: `checks` of them run at once
    in a worker, and `waiting` more wait; who comes on top of that gets 503. A password that was right is
    remembered, as a digest under a key of this process, until consumers change.
    """

    class Config(PluginConfig, frozen=True):
        """Options of basic-auth."""

        realm: Annotated[
            str,
            Meta(pattern=r"^[ !#-\[\]-~]*$", description="what browsers show when they ask"),
        ] = "agora"
        hide: Annotated[bool, Meta(description="keep name and password from the target")] = True
        optional: Annotated[bool, Meta(description="let requests without them go on, as nobody's")] = False
        checks: Annotated[int, Meta(ge=1, le=64, description="passwords compared at once in a worker")] = 2
        waiting: Annotated[int, Meta(ge=0, description="requests that may wait for that")] = 100

    def __init__(self, config: Config, site: Site) -> None:
        challenge = f'Basic realm="{config.realm}", charset="UTF-8"'
        super().__init__(config, site, challenge=challenge, optional=config.optional)
        self._consumers = site.consumers
        self._hide = config.hide
        self._most = config.checks + config.waiting
        self._checks = asyncio.Semaphore(config.checks)
        self._checking = 0
        self._version = -1
        self._secret = secrets.token_bytes(32)
        self._known: dict[bytes, Identity] = {}

    def authenticate(self, exchange: Exchange) -> Found | Coroutine[Any, Any, Found]:
        """Return whose name and password the request has."""
        header = exchange.request.headers.get(b"authorization")
        if header is None or header[:6].lower() != b"basic ":
            return None
        try:
            user, colon, password = binascii.a2b_base64(header[6:].strip(), strict_mode=True).partition(b":")
            name = user.decode()
        except ValueError:
            return self.refused("The header cannot be read.")
        if not colon or len(password) > LONGEST:
            return self.refused("The header cannot be read.")
        if self._version != self._consumers.version:
            self._version = self._consumers.version
            self._known.clear()
        mark = hmac.digest(self._secret, user + b":" + password, hashlib.sha256)
        known = self._known.get(mark)
        return known if known is not None else self._check(name, password, mark)

    def forward(self, exchange: Exchange) -> None:
        """Tell the target the consumer, not the password."""
        super().forward(exchange)
        if self._hide:
            exchange.request.headers.remove(b"authorization")

    async def _check(self, name: str, password: bytes, mark: bytes) -> Found:
        """Compare, in a thread, also where there is nothing to compare with: the time says nothing."""
        if self._checking >= self._most:
            return Response.problem_of(BUSY)
        found = self._consumers.password_of(name)
        version = self._consumers.version
        self._checking += 1
        try:
            async with self._checks:
                right = await asyncio.to_thread(verify, NOBODY if found is None else found[2], password)
        finally:
            self._checking -= 1
        if found is None or not right:
            return self.refused("Name or password is wrong.")
        consumer, credential, _ = found
        identity = Identity(
            consumer.name, scheme="basic-auth", groups=consumer.groups, credential=credential.id
        )
        if version == self._consumers.version == self._version:
            if len(self._known) >= REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[mark] = identity
        return identity
