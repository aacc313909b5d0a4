"""Who asks the control API, and what the token allows.

The rule it guards: nothing under ``/api/v1/`` is answered without a token, also on loopback; looking needs
the role viewer, changing operator, unless an endpoint asks for more.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from core.errors import PROBLEM_CONTENT_TYPE, Problem
from engines.api_gateway import AdvancedAPIGateway, Role
from engines.api_gateway.errors import RoleMissing
from gateway.api_exchange import Handler, refused

UNAUTHORIZED = Problem(401, "unauthorized", "A token is needed")
LOOKING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Caller:
    """Be who asks."""

    name: str
    role: Role


class Guard:
    """Let in who has a token of the role that is needed."""

    def __init__(self, admin_token: str, control: AdvancedAPIGateway) -> None:
        self._admin_token = admin_token.encode()
        self._control = control

    def caller(self, request: Request) -> Caller | None:
        """Return who asks; None: nobody with a token."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        given = given.strip()
        if scheme.lower() != "bearer" or not given:
            return None
        if hmac.compare_digest(given.encode(), self._admin_token):
            return Caller("admin", Role.ADMIN)
        token = self._control.find_token(given)
        return Caller(token.name, token.rights) if token is not None else None

    def __call__(self, endpoint: Handler, needed: Role | None = None) -> Handler:
        """Return an endpoint that asks for a token first; by default what role follows from the method."""

        async def check(request: Request) -> Response:
            caller = self.caller(request)
            if caller is None:
                return unauthorized()
            least = needed or (Role.VIEWER if request.method in LOOKING else Role.OPERATOR)
            if caller.role < least:
                told = f"{caller.name} is {caller.role.name.lower()}; this needs {least.name.lower()}"
                return refused(RoleMissing(told))
            request.state.caller = caller
            return await endpoint(request)

        return check


Guarding = Callable[[Handler], Handler]


def caller_of(request: Request) -> Caller:
    """Return who asks a guarded endpoint."""
    caller: Caller = request.state.caller
    return caller


def unauthorized() -> Response:
    """Return the answer to who has no token."""
    headers = {
        "content-type": PROBLEM_CONTENT_TYPE.decode(),
        "www-authenticate": 'Bearer realm="agora"',
    }
    return Response(UNAUTHORIZED.body(), UNAUTHORIZED.status, headers)
