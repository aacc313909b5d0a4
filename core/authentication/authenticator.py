"""The base of authentication plugins: recognise a credential, set the consumer, tell the target.

The rule it guards: a request either carries a credential of this kind that holds, or is refused with 401 and
a challenge that names what would do; what a plugin remembers is answered without a task.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, cast

from core._fast.message import Response
from core.authentication.identity import Identity
from core.errors import Problem
from core.exchange import Exchange
from core.plugin import Plugin, PluginConfig

MISSING = Problem(401, "unauthenticated", "Credentials are needed")
REFUSED = Problem(401, "credentials-refused", "The credentials do not hold")

Found = Identity | Response | None
Answer = Response | None


class Authenticator(Plugin):
    """Be one way to prove who a request speaks for.

    A subclass has ``authenticate(exchange)``. It returns an Identity; None, if the request carries no
    credential of its kind; a Response, if it carries one that does not hold (`refused()` makes it); or a
    coroutine that does the same, where finding out has to wait.
    """

    def __init__(self, config: PluginConfig, site: Any, *, challenge: str, optional: bool = False) -> None:
        """Prepare; ``challenge`` is the WWW-Authenticate of a 401; optional: go on without credentials."""
        self.config = config
        self.challenge = challenge.encode()
        self.missing = None if optional else challenged(MISSING, self.challenge)

    def authenticate(self, exchange: Exchange) -> Found | Coroutine[Any, Any, Found]:
        """Return who the request speaks for."""
        raise NotImplementedError

    def refused(self, detail: str) -> Response:
        """Return the answer to a credential that does not hold."""
        return challenged(REFUSED, self.challenge, detail)

    def request(self, exchange: Exchange) -> Any:
        """Let in who is known."""
        found = self.authenticate(exchange)
        if type(found) is Identity:
            exchange.consumer = found
            return None
        if found is None:
            return self.missing
        if isinstance(found, Response):
            return found
        return self._settle(exchange, cast(Coroutine[Any, Any, Found], found))

    async def _settle(self, exchange: Exchange, waiting: Coroutine[Any, Any, Found]) -> Answer:
        found = await waiting
        if found is None:
            return self.missing
        if isinstance(found, Identity):
            exchange.consumer = found
            return None
        return found

    def forward(self, exchange: Exchange) -> None:
        """Tell the target who the request speaks for."""
        tell(exchange)


def tell(exchange: Exchange) -> None:
    """Set the headers by which a target knows the consumer; a client's own of these names were removed."""
    consumer = exchange.consumer
    if type(consumer) is Identity:
        headers = exchange.request.headers
        for name, value in consumer.fields:
            headers.set(name, value)


def challenged(problem: Problem, challenge: bytes, detail: str = "") -> Response:
    """Return the answer that reports a problem with a challenge."""
    response = Response.problem_of(problem, detail)
    response.headers.set(b"www-authenticate", challenge)
    return response
