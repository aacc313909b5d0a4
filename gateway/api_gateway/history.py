"""What was changed by whom, and the way back, over HTTP."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from engines.api_gateway.access import Role, without_secret
from engines.api_gateway.control_event import Entry
from engines.api_gateway.resource import Change
from gateway.access import caller_of
from gateway.api_exchange import LARGEST, BodyInvalid, Query, read_object, shown
from gateway.api_gateway.control import Control
from gateway.api_gateway.resources import MOST


async def show_history(control: Control, request: Request) -> Response:
    """List changes, the latest first; perhaps those of one kind, or of one resource."""
    query = Query(request, "before", "limit", "kind", "name")
    before = query.number("before", 0, 1) or None
    limit, kind, name = query.number("limit", 100, 1, MOST), query.text("kind"), query.text("name")
    entries = control.engine.history(before, limit)
    wanted = [
        entry
        for entry in entries
        if any(kind in ("", change.kind) and name in ("", change.name) for change in entry.changes)
    ]
    following = entries[-1].version if len(entries) == limit and entries[-1].version > 1 else None
    return shown({"changes": [entry_view(entry) for entry in wanted], "next": following})


async def roll_back(control: Control, request: Request) -> Response:
    """Show what a rollback to a position would change; with `apply`, do it."""
    Query(request)
    body = await read_object(request)
    position, apply, reason = body.pop("position", None), body.pop("apply", False), body.pop("reason", "")
    if type(position) is not int or not 0 <= position < LARGEST:
        raise BodyInvalid("position is a whole number, a position of the log")
    if type(apply) is not bool or not isinstance(reason, str):
        raise BodyInvalid("apply is true or false, reason is a text")
    if body:
        raise BodyInvalid(f"unknown: {', '.join(sorted(body))}; there are: position, apply, reason")
    if not apply:
        changes = control.engine.difference_to(position)
    else:
        caller = caller_of(request)
        changes = await control.engine.rollback(
            position, actor=caller.name, reason=reason, secrets=caller.role >= Role.ADMIN
        )
    at = control.engine.position
    return shown({"applied": apply, "changes": [_change(control, change) for change in changes]}, position=at)


def entry_view(entry: Entry) -> dict[str, Any]:
    """Return a change as it is shown: without hashes of secrets."""
    return {
        "position": entry.position,
        "version": entry.version,
        "time": entry.time,
        "actor": entry.actor,
        "cause": entry.cause,
        "reason": entry.reason,
        "changes": [
            {"kind": one.kind, "name": one.name, "document": one.document and without_secret(one.document)}
            for one in entry.changes
        ],
    }


def _change(control: Control, change: Change) -> dict[str, Any]:
    """Return one resource's part of a diff: what it is now, and what it becomes."""
    now = {one.name: one.document for one in control.engine.resources(change.kind)}.get(change.name)
    return {"kind": change.kind, "name": change.name, "now": now, "then": change.document}
