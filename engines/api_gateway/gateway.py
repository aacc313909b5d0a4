"""The control plane's face: resources declared, changed, explained and taken back, on the event log.

    await advanced_api_gateway.start_gateway(log, host)
    route = await advanced_api_gateway.add_route({"name": "hello", "path": "/hello", "respond": {...}})

The rules it guards: a change is checked against everything it would run with before it is appended, and
appended only if nothing was changed meanwhile; it is answered when this worker runs with it; each worker
follows the log. What the configuration file declares, nobody changes here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from core.event_log.errors import VersionConflict
from core.event_log.filter import Filter
from core.event_log.log import EventLog
from engines.api_gateway.access import Access, AuthenticationToken
from engines.api_gateway.control_event import STREAM, TYPE, Cause, Entry, GatewayChanged, entry_of
from engines.api_gateway.control_state import ControlState, differences, documents, put, resource_of
from engines.api_gateway.errors import (
    ControlStopped,
    PositionUnknown,
    ResourceExists,
    ResourceOwned,
    ResourceStale,
    ResourceUnknown,
)
from engines.api_gateway.host import Host
from engines.api_gateway.patch import merged
from engines.api_gateway.resource import Change, Document, Key, Kind, Resource
from engines.api_gateway.route import APIRoute, route_of

log = logging.getLogger("agora.control")
AT_ONCE = 500  # resources of the file in one event
PAGE = 1000
NOT_ROLLED_BACK = ("token", "credential", "purge")
OWNED = {"consumer": "credential", "upstream": "drain"}  # whose documents name what they belong to
Decide = Callable[[ControlState], list[Change]]


class AdvancedAPIGateway:
    """Know what is declared beside the configuration file, and put it in force."""

    def __init__(self) -> None:
        self._log: EventLog | None = None
        self._host: Host | None = None
        self._state = ControlState()
        self._access = Access()
        self._deciding = asyncio.Lock()
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._installed = 0  # version of the stream that this worker runs with
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    # -- lifecycle -------------------------------------------------------------------------------------------

    async def start_gateway(self, event_log: EventLog, host: Host) -> None:
        """Read what was declared, put it in force and follow the log; harmless if it is running."""
        if self._log is not None:
            return
        self._log, self._host = event_log, host
        self._deciding, self._changed = asyncio.Lock(), asyncio.Event()
        self._state, self._installed = ControlState(), 0
        try:
            self._catch_up()
            await self.take_file()
            await self._install()
        except BaseException:
            self._log = self._host = None
            raise
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._follow()), loop.create_task(self._put_in_force())]

    async def stop_gateway(self) -> None:
        """Stop following; harmless if it is not running."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._log = self._host = None
        self._state, self._access = ControlState(), Access()
        for _, waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(ControlStopped("the gateway stops; the change is kept"))
        self._waiting.clear()

    @property
    def running(self) -> bool:
        """Tell whether changes are taken."""
        return self._log is not None

    @property
    def position(self) -> int:
        """Return the position in the log of the last change; 0: there was none."""
        return self._state.position

    async def take_file(self) -> None:
        """Note in the log what the configuration file declares, where it differs from what it did."""
        filed = self._running_host().filed()
        for _ in range(0, len(differences(self._state.filed, filed)), AT_ONCE):
            await self._append(lambda _: differences(self._state.filed, filed)[:AT_ONCE], "agora", "file")
        for key in sorted(self._state.declared.keys() & filed.keys()):
            log.warning("the file declares %s, which the API had declared: the file's counts", key)

    # -- resources -------------------------------------------------------------------------------------------

    def resources(self, kind: Kind) -> list[Resource]:
        """Return what the API has declared of a kind, by name."""
        return sorted(self._state.of_kind(kind), key=lambda resource: resource.name)

    def resource(self, kind: Kind, name: str) -> Resource:
        """Return a resource that the API has declared; raise ResourceUnknown."""
        found = self._state.declared.get(Key(kind, name))
        if found is None:
            raise ResourceUnknown(f"there is no {kind} {name!r}")
        return found

    def filed(self) -> Mapping[Key, Document]:
        """Return what the configuration file declares, without secrets."""
        return self._running_host().filed()

    def why_not_in_force(self, kind: Kind, name: str) -> str:
        """Return why a declared resource is not in force; empty: it is."""
        return self._running_host().left_out().get(Key(kind, name), "")

    async def add(
        self, kind: Kind, name: str, document: Document, *, actor: str = "", secrets: bool = False
    ) -> Resource:
        """Declare a resource; raise ResourceExists, ResourceOwned and ConfigInvalid."""

        def decide(state: ControlState) -> list[Change]:
            self._forbid_owned(Key(kind, name))
            if Key(kind, name) in state.declared:
                raise ResourceExists(f"there is a {kind} {name!r} already")
            return [Change(kind, name, document)]

        await self.change(decide, actor, secrets=secrets)
        return self.resource(kind, name)

    async def replace(
        self,
        kind: Kind,
        name: str,
        document: Document,
        *,
        version: int | None = None,
        actor: str = "",
        secrets: bool = False,
    ) -> Resource:
        """Put another document in a resource's place, if it is at a version (None: whichever).

        Raises ResourceUnknown, ResourceStale, ResourceOwned and ConfigInvalid.
        """

        def decide(state: ControlState) -> list[Change]:
            self._current(state, Key(kind, name), version)
            return [Change(kind, name, document)]

        await self.change(decide, actor, secrets=secrets)
        return self.resource(kind, name)

    async def patch(
        self,
        kind: Kind,
        name: str,
        patch: Document,
        *,
        version: int | None = None,
        actor: str = "",
        secrets: bool = False,
    ) -> Resource:
        """Change members of a document as a JSON merge patch (RFC 7396) says; raises as `replace`."""

        def decide(state: ControlState) -> list[Change]:
            current = self._current(state, Key(kind, name), version)
            return [Change(kind, name, merged(current.document, patch))]

        await self.change(decide, actor, secrets=secrets)
        return self.resource(kind, name)

    async def remove(self, kind: Kind, name: str, *, version: int | None = None, actor: str = "") -> None:
        """Remove a resource and what belongs to it; raises as `replace`, ConfigInvalid where it is needed."""

        def decide(state: ControlState) -> list[Change]:
            self._current(state, Key(kind, name), version)
            return [Change(kind, name, None), *_belongings(state, kind, name)]

        await self.change(decide, actor)

    async def add_route(self, route_data: Mapping[str, Any], *, actor: str = "") -> APIRoute:
        """Declare a route, described as in the configuration file; raises as `add`."""
        document = dict(route_data)
        return route_of(await self.add("route", str(document.get("name", "")), document, actor=actor))

    # -- history ---------------------------------------------------------------------------------------------

    def history(self, before: int | None = None, limit: int = 100) -> list[Entry]:
        """Return changes, the latest first, from before a version of the stream on."""
        first = None if before is None else before - 1
        if first == 0:
            return []
        return [entry_of(event) for event in self._running_log().read(STREAM, first, limit, backwards=True)]

    def state_at(self, position: int) -> ControlState:
        """Return what was declared as of a position of the log; raise PositionUnknown."""
        last = self._running_log().last_position()
        if not 0 <= position <= last:
            raise PositionUnknown(f"a position is from 0 to {last}, not {position}")
        state = ControlState()
        for entry in self._entries(1):
            if entry.position > position:
                break
            state.apply(entry)
        return state

    def difference_to(self, position: int) -> list[Change]:
        """Return what a rollback to a position would change; the file's resources stay as they are."""
        return self._way_back(self._state, position)

    async def rollback(
        self, position: int, *, actor: str = "", reason: str = "", secrets: bool = False
    ) -> list[Change]:
        """Declare again what was declared as of a position, as one change; return what that changed.

        Tokens and credentials that were revoked since stay revoked. Raises PositionUnknown, ConfigInvalid.
        """
        done: list[Change] = []

        def decide(state: ControlState) -> list[Change]:
            done[:] = self._way_back(state, position)
            return list(done)

        await self.change(decide, actor, cause="rollback", reason=reason, secrets=secrets)
        return done

    def _way_back(self, state: ControlState, position: int) -> list[Change]:
        then = documents(self.state_at(position).declared.values())
        now = documents(state.declared.values())
        # SAFETY: a secret that was revoked may be known to whoever should not have it.
        return [change for change in differences(now, then) if change.kind not in NOT_ROLLED_BACK]

    # -- changes ---------------------------------------------------------------------------------------------

    async def change(
        self,
        decide: Decide,
        actor: str,
        *,
        cause: Cause = "api",
        reason: str = "",
        secrets: bool = False,
    ) -> None:
        """Append what `decide` makes of the current state, once it was checked; return when it is in force.

        decide: called again if another worker was faster; raises what is to be refused
        """
        version = await self._append(decide, actor, cause, reason, secrets)
        await self._wait_installed(version)

    def find_token(self, secret: str) -> AuthenticationToken | None:
        """Return the token that a secret stands for; None: there is none, or it has expired."""
        return self._access.find(secret, time.time_ns())

    async def _append(
        self, decide: Decide, actor: str, cause: Cause, reason: str = "", secrets: bool = False
    ) -> int:
        """Return the version of the stream with the change in it."""
        async with self._deciding:
            while True:
                self._catch_up()
                version = self._state.version
                changes = decide(self._state)
                if not changes:
                    return version
                if cause != "file":
                    await self._check(changes, secrets)
                told = GatewayChanged(cause=cause, changes=changes, reason=reason)
                try:
                    appended = await self._running_log().append(STREAM, [told.draft(actor)], version)
                except VersionConflict:
                    continue
                self._catch_up()
                return appended.versions[0]

    async def _check(self, changes: Iterable[Change], secrets: bool) -> None:
        candidate = dict(self._state.declared)
        entry = Entry(position=0, version=0, time=0, actor="", cause="api", reason="", changes=[])
        for change in changes:
            put(candidate, change.key, resource_of(change, entry))
        changed = {change.key for change in changes if change.document is not None}
        await asyncio.to_thread(self._running_host().check, candidate, changed, secrets=secrets)

    def _current(self, state: ControlState, key: Key, version: int | None) -> Resource:
        self._forbid_owned(key)
        found = state.declared.get(key)
        if found is None:
            raise ResourceUnknown(f"there is no {key}")
        if version is not None and found.position != version:
            raise ResourceStale(
                f"{key} is at version {found.position}, not at {version}: "
                f"{found.actor or 'somebody'} changed it; read it again"
            )
        return found

    def _forbid_owned(self, key: Key) -> None:
        if key in self._running_host().filed():
            raise ResourceOwned(f"the configuration file declares {key}: change it there")

    def _running_log(self) -> EventLog:
        if self._log is None:
            raise ControlStopped("changes by the API need a table [event_log] in the configuration")
        return self._log

    def _running_host(self) -> Host:
        self._running_log()
        assert self._host is not None
        return self._host

    # -- following -------------------------------------------------------------------------------------------

    def _entries(self, first: int) -> Iterable[Entry]:
        """Yield the changes from a version of the stream on."""
        while events := self._running_log().read(STREAM, first, PAGE):
            for event in events:
                yield entry_of(event)
            first = events[-1].version + 1

    def _catch_up(self) -> None:
        """Take in what others have appended; tokens and credentials are valid, and void, at once."""
        before = self._state.version
        for entry in self._entries(before + 1):
            self._state.apply(entry)
            for change in entry.changes if self._tasks else ():
                if change.kind == "purge" and change.document is not None:
                    self._running_host().purge(change.document)
        if self._state.version != before:
            self._access = Access(self._state.of_kind("token"))
            self._running_host().admit(self._state.declared)
            self._changed.set()

    async def _follow(self) -> None:
        """Take in each change as soon as it is in the log."""
        async for page in self._running_log().follow(self._state.position, Filter(types=(TYPE,))):
            if page.events:
                self._catch_up()

    async def _put_in_force(self) -> None:
        """Put changes in force, several at once where they come faster."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._install()
            except Exception as error:
                log.exception("a change could not be put in force: it is kept, and tried with the next one")
                self._wake(self._state.version, ControlStopped(f"it is kept, but not in force: {error}"))

    async def _install(self) -> None:
        version = self._state.version
        await self._running_host().install(dict(self._state.declared))
        self._installed = version
        self._wake(version)

    def _wake(self, version: int, error: Exception | None = None) -> None:
        """Answer who waits for a version, or an older one, to be in force."""
        for wanted, waiter in self._waiting:
            if wanted > version or waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)
        self._waiting = [entry for entry in self._waiting if not entry[1].done()]

    async def _wait_installed(self, version: int) -> None:
        if version > self._installed and self._tasks:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((version, waiter))
            await waiter


def _belongings(state: ControlState, kind: Kind, name: str) -> list[Change]:
    """Return the removal of what goes with a resource."""
    return [
        Change(one.kind, one.name, None)
        for one in state.declared.values()
        if one.kind == OWNED.get(kind) and one.document[kind] == name
    ]
