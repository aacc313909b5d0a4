"""Routes, upstreams and consumers over HTTP: list, show, make, replace, patch, remove.

The rule it guards: what the file declares is shown, and changed in the file alone; with If-Match nobody's
change is lost.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engines.api_gateway.access import Role
from engines.api_gateway.errors import ChangeInvalid, ResourceStale, ResourceUnknown
from engines.api_gateway.resource import Document, Key, Kind, Resource
from gateway.access import caller_of
from gateway.api_exchange import LARGEST, Query, QueryInvalid, read_object, shown
from gateway.api_gateway.control import Control, Endpoint

MOST = 1_000  # resources in an answer


class View(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Be a resource as it is shown.

    owner: file or api; version: the position of its last change in the log, of the API's own alone
    changed: time of it, ns since the epoch; not_in_force: why it is left out
    """

    name: str
    owner: str
    document: Document
    version: int | None = None
    changed: int | None = None
    actor: str | None = None
    not_in_force: str = ""


def views(control: Control, kind: Kind) -> dict[str, View]:
    """Return all resources of a kind by their names; the file's stand for the API's of the same name."""
    found = {resource.name: view_of(control, resource) for resource in control.engine.resources(kind)}
    filed = control.plane.declared.filed()
    found |= {
        key.name: View(name=key.name, owner="file", document=document)
        for key, document in filed.items()
        if key.kind == kind
    }
    return dict(sorted(found.items()))


def view(control: Control, kind: Kind, name: str) -> View:
    """Return a resource; raise ResourceUnknown."""
    document = control.plane.declared.filed().get(Key(kind, name))
    if document is not None:
        return View(name=name, owner="file", document=document)
    return view_of(control, control.engine.resource(kind, name))


def view_of(control: Control, resource: Resource) -> View:
    """Return a declared resource as it is shown."""
    return View(
        name=resource.name,
        owner="api",
        document=resource.document,
        version=resource.position,
        changed=resource.time,
        actor=resource.actor,
        not_in_force=control.engine.why_not_in_force(resource.kind, resource.name),
    )


def etag(found: View) -> str:
    """Return the entity tag of a resource; that of the file's follows from its text."""
    if found.version is not None:
        return f'"{found.version}"'
    return f'"{hashlib.sha256(msgspec.json.encode(found.document)).hexdigest()[:16]}"'


def expected(request: Request) -> int | None:
    """Return which version If-Match asks for; None: whichever. Raises QueryInvalid and ResourceStale."""
    given = request.headers.get("if-match", "*").strip()
    if given == "*":
        return None
    if len(given) < 3 or given[0] != '"' or given[-1] != '"' or "," in given:
        raise QueryInvalid('If-Match is one ETag that was given with the resource, such as "42"')
    number = given[1:-1]
    if not (number.isascii() and number.isdigit()) or int(number) > LARGEST:
        raise ResourceStale(f"no version of it has the tag {given}; read it again")
    return int(number)


class Resources:
    """Be the endpoints of one kind of resource."""

    def __init__(self, kind: Kind, path: str) -> None:
        self.kind = kind
        self.path = path

    async def list_all(self, control: Control, request: Request) -> Response:
        """List by name, after a name."""
        query = Query(request, "after", "limit", "owner", "prefix")
        after, limit = query.text("after"), query.number("limit", 100, 1, MOST)
        owner, prefix = query.text("owner"), query.text("prefix")
        found = [
            one
            for name, one in views(control, self.kind).items()
            if name > after and name.startswith(prefix) and owner in ("", one.owner)
        ]
        more = len(found) > limit
        next_after = found[limit - 1].name if more else None
        return shown({self.path.strip("/"): found[:limit], "next": next_after})

    async def show(self, control: Control, request: Request) -> Response:
        """Show one."""
        Query(request)
        found = view(control, self.kind, request.path_params["name"])
        tag = etag(found)
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        return self._shown(found)

    async def make(self, control: Control, request: Request) -> Response:
        """Declare one; its name is in the document."""
        Query(request)
        document = await read_object(request)
        name = document.get("name")
        if not isinstance(name, str) or not name:
            raise ChangeInvalid(f"name is the {self.kind}'s name, a string")
        made = await control.engine.add(self.kind, name, document, **_who(request))
        return self._shown(view_of(control, made), 201)

    async def put(self, control: Control, request: Request) -> Response:
        """Put a document in one's place, or declare it if there is none of that name."""
        Query(request)
        name = request.path_params["name"]
        document = {"name": name, **await read_object(request)}
        version, only_new = expected(request), request.headers.get("if-none-match") == "*"
        try:
            if only_new:
                raise ResourceUnknown
            done = await control.engine.replace(self.kind, name, document, version=version, **_who(request))
        except ResourceUnknown:
            if version is not None:
                raise ResourceStale(f"there is no {self.kind} {name!r} any more") from None
            done = await control.engine.add(self.kind, name, document, **_who(request))
            return self._shown(view_of(control, done), 201)
        return self._shown(view_of(control, done))

    async def patch(self, control: Control, request: Request) -> Response:
        """Change members of a document: a JSON merge patch."""
        Query(request)
        name, patch = request.path_params["name"], await read_object(request)
        done = await control.engine.patch(self.kind, name, patch, version=expected(request), **_who(request))
        return self._shown(view_of(control, done))

    async def remove(self, control: Control, request: Request) -> Response:
        """Remove one; a consumer with its credentials."""
        Query(request)
        name = request.path_params["name"]
        actor = caller_of(request).name
        await control.engine.remove(self.kind, name, version=expected(request), actor=actor)
        return Response(status_code=204)

    def _shown(self, found: View, status: int = 200) -> Response:
        location = f"/api/v1/api-gateway{self.path}/{found.name}" if status == 201 else ""
        answer = shown(found, status, position=found.version or 0, location=location)
        answer.headers["etag"] = etag(found)
        return answer

    def endpoints(self) -> list[tuple[str, str, Endpoint]]:
        """Return methods, paths and what they lead to."""
        return [
            ("GET", self.path, self.list_all),
            ("POST", self.path, self.make),
            ("GET", self.path + "/{name}", self.show),
            ("PUT", self.path + "/{name}", self.put),
            ("PATCH", self.path + "/{name}", self.patch),
            ("DELETE", self.path + "/{name}", self.remove),
        ]


def _who(request: Request) -> dict[str, Any]:
    caller = caller_of(request)
    return {"actor": caller.name, "secrets": caller.role >= Role.ADMIN}
