"""Credentials of consumers and tokens of the control API over HTTP.

The rule it guards: a secret is in the answer to the request that made it, and in no other; tokens are for
admins alone.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from core.decode import Decoder
from engines.api_gateway.access import CredentialWish, TokenWish, without_secret
from engines.api_gateway.resource import Kind, Resource
from engines.api_gateway.secret_desk import OVERLAP, Made, SecretDesk
from gateway.access import caller_of
from gateway.api_exchange import Query, QueryInvalid, read_object, shown
from gateway.api_gateway.control import Control
from gateway.api_gateway.resources import MOST, expected

MOST_OVERLAP = 30 * 86_400.0  # seconds


async def list_credentials(control: Control, request: Request) -> Response:
    """List credentials by name, perhaps of one consumer."""
    query = Query(request, "consumer", "after", "limit")
    consumer = query.text("consumer")
    found = [
        one
        for one in control.engine.resources("credential")
        if consumer in ("", one.document["consumer"]) and one.name > query.text("after")
    ]
    limit = query.number("limit", 100, 1, MOST)
    more = found[limit - 1].name if len(found) > limit else None
    return shown({"credentials": [_shown(one) for one in found[:limit]], "next": more})


async def issue_credential(control: Control, request: Request) -> Response:
    """Issue a key."""
    Query(request)
    wish = Decoder().decode(await read_object(request), CredentialWish)
    return _made(await SecretDesk(control.engine).issue(wish, actor=caller_of(request).name), "credentials")


async def rotate_credential(control: Control, request: Request) -> Response:
    """Issue a key in another one's place, which holds a while longer."""
    given = Query(request, "overlap").text("overlap", str(OVERLAP))
    try:
        overlap = float(given)
    except ValueError:
        overlap = -1.0
    if not 0 <= overlap <= MOST_OVERLAP:
        raise QueryInvalid(f"overlap is a number of seconds from 0 to {MOST_OVERLAP:g}, not {given!r}")
    name = request.path_params["name"]
    made = await SecretDesk(control.engine).rotate(name, overlap=overlap, actor=caller_of(request).name)
    return _made(made, "credentials")


async def list_tokens(control: Control, request: Request) -> Response:
    """List tokens by name."""
    Query(request)
    return shown({"tokens": [_shown(one) for one in control.engine.resources("token")]})


async def make_token(control: Control, request: Request) -> Response:
    """Make a token."""
    Query(request)
    wish = Decoder().decode(await read_object(request), TokenWish)
    return _made(await SecretDesk(control.engine).make_token(wish, actor=caller_of(request).name), "tokens")


class Shown:
    """Show and remove one resource that proves something."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    async def show(self, control: Control, request: Request) -> Response:
        """Show what is kept of it, but for the hash."""
        Query(request)
        return shown(_shown(control.engine.resource(self.kind, request.path_params["name"])))

    async def remove(self, control: Control, request: Request) -> Response:
        """Void it, everywhere and at once."""
        Query(request)
        name, actor = request.path_params["name"], caller_of(request).name
        await control.engine.remove(self.kind, name, version=expected(request), actor=actor)
        return Response(status_code=204)


def _shown(resource: Resource) -> dict[str, Any]:
    return {
        "name": resource.name,
        **without_secret(resource.document),
        "version": resource.position,
        "changed": resource.time,
        "actor": resource.actor,
    }


def _made(made: Made, path: str) -> Response:
    location = f"/api/v1/api-gateway/{path}/{made.resource.name}"
    body = {**_shown(made.resource), "secret": made.secret}
    answer = shown(body, 201, position=made.resource.position, location=location)
    answer.headers["cache-control"] = "no-store"
    return answer
