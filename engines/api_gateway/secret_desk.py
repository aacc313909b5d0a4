"""Issue, rotate and revoke what proves who asks: consumers' credentials, and tokens of the control API.

The rule it guards: a secret is returned once, by what makes it; the log has its hash.
"""

from __future__ import annotations

import secrets
import time
from typing import NamedTuple

from engines.api_gateway.access import CredentialWish, TokenWish, digest, expiry, make_secret
from engines.api_gateway.control_state import ControlState
from engines.api_gateway.errors import ResourceUnknown
from engines.api_gateway.gateway import AdvancedAPIGateway
from engines.api_gateway.resource import Change, Document, Key, Resource

OVERLAP = 3600.0  # seconds that a rotated credential holds beside the new one


class Made(NamedTuple):
    """Be a new secret, and what is kept of it."""

    resource: Resource
    secret: str


class SecretDesk:
    """Make and void secrets, by changes of the control plane."""

    def __init__(self, control: AdvancedAPIGateway) -> None:
        self._control = control

    async def issue(self, wish: CredentialWish, *, actor: str) -> Made:
        """Issue a key for a consumer; raise ResourceUnknown if there is no such consumer."""
        secret, name = make_secret(), _name(wish.consumer)
        document = _credential(wish.consumer, secret, expiry(time.time_ns(), wish.seconds))

        def decide(state: ControlState) -> list[Change]:
            self._forbid_unknown(state, wish.consumer)
            return [Change("credential", name, document)]

        await self._control.change(decide, actor)
        return Made(self._control.resource("credential", name), secret)

    async def rotate(self, name: str, *, overlap: float = OVERLAP, actor: str) -> Made:
        """Issue a key in another one's place, which holds so many seconds more; raise ResourceUnknown."""
        consumer = self._control.resource("credential", name).document["consumer"]
        secret, new = make_secret(), _name(consumer)

        def decide(state: ControlState) -> list[Change]:
            old = state.declared.get(Key("credential", name))
            if old is None:
                raise ResourceUnknown(f"there is no credential {name!r}")
            ends = time.time_ns() + int(overlap * 1e9)
            ends = min(ends, old.document["expires"] or ends)
            return [
                Change("credential", name, {**old.document, "expires": ends}),
                Change("credential", new, _credential(consumer, secret, 0)),
            ]

        await self._control.change(decide, actor)
        return Made(self._control.resource("credential", new), secret)

    async def revoke(self, name: str, *, version: int | None = None, actor: str) -> None:
        """Void a credential, everywhere and at once; raise ResourceUnknown."""
        await self._control.remove("credential", name, version=version, actor=actor)

    async def make_token(self, wish: TokenWish, *, actor: str) -> Made:
        """Make a token of the control API; raise ResourceExists."""
        secret = make_secret()
        expires = expiry(time.time_ns(), wish.seconds)
        document = {"role": wish.role, "sha256": digest(secret), "expires": expires}
        return Made(await self._control.add("token", wish.name, document, actor=actor), secret)

    def _forbid_unknown(self, state: ControlState, consumer: str) -> None:
        key = Key("consumer", consumer)
        if key not in state.declared and key not in self._control.filed():
            raise ResourceUnknown(f"there is no consumer {consumer!r}")


def _credential(consumer: str, secret: str, expires: int) -> Document:
    return {"consumer": consumer, "sha256": digest(secret), "expires": expires}


def _name(consumer: str) -> str:
    return f"{consumer[:55]}.{secrets.token_hex(4)}"
