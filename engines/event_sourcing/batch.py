"""Commands decided one after the other, as one append.

The rule it guards: each command is decided on the states that the ones before it leave, and the whole is
appended at the versions that were read, all or nothing. So no decision ever stands on an event that did not
come to be. The command bus makes one, fills it, and drops it when the log refuses.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from core._fast.envelope import Draft
from core._fast.event_append import ANY, Append, Appended
from core.errors import AgoraError
from core.event_log.log import EventLog
from engines.event_sourcing.aggregates import Aggregates, KeptState
from engines.event_sourcing.command_record import (
    CommandRecord,
    decode_record,
    encode_record,
    fingerprint_of,
    record_key,
)
from engines.event_sourcing.domain import Decision, Domain, Write
from engines.event_sourcing.errors import CommandReused
from engines.event_sourcing.event import EventReader
from engines.event_sourcing.request import CommandResult, Request
from engines.event_sourcing.snapshots import snapshot_key

logger = logging.getLogger("agora.event_sourcing")


class DecisionBroken(Exception):
    """Say that a decision could not be carried out: the states of the batch cannot be trusted any more."""


class Batch:
    """Decide requests and gather what they write."""

    def __init__(
        self, log: EventLog, domain: Domain, aggregates: Aggregates, reader: EventReader, now: int
    ) -> None:
        self._log = log
        self._reader = reader
        self._domain = domain
        self._aggregates = aggregates
        self._now = now
        self._used: dict[str, KeptState] = {}  # states that were read or changed
        self._base: dict[str, int] = {}  # their versions before the batch
        self._depends: set[str] = set()  # streams that must be at their base
        self._pending: dict[str, list[Any]] = {}  # facts for streams whose state is not at hand
        self._writes: list[tuple[str, list[Draft]]] = []
        self._last: dict[str, Draft] = {}  # of each stream that gets some
        self._drafts = 0
        # An event whose version is known for sure, and its number in the append; before one, the log's last.
        self._anchor = "", 0, -log.last_position()
        self._records: dict[str, tuple[CommandRecord, int]] = {}  # and the offset of its last event
        self._answers: list[
            tuple[Request, Any, int, bool]
        ] = []  # request, receipt or error, offset, repeated

    # -- deciding ------------------------------------------------------------------------------------------

    def decide(self, request: Request) -> None:
        """Decide a request; its refusal is an answer like others. Raises what a domain's defect raises."""
        try:
            self._decide(request)
        except AgoraError as refusal:
            self._answers.append((request, refusal, 0, False))

    def _repeats(self, request: Request) -> bool:
        """Answer a command that was done before.

        NOTE: to be asked when the states are read, not before: another process may do the command between,
        and a state that knows of it does not forbid to do it again.
        """
        command = request.command
        known = self._records.get(command.id)
        if known is not None:
            record, offset = known
        else:
            stored = self._log.get_state(record_key(self._domain.name, command.id))
            if stored is None:
                return False
            record, offset = decode_record(stored), -1
        if record.fingerprint != fingerprint_of(command):
            raise CommandReused(
                f"the id {command.id} belongs to another command: repeat that one, or choose another id"
            )
        receipt = self._domain.decode_receipt(record.receipt)
        if offset < 0:
            offset = -self._position_of(record)
        self._answers.append((request, receipt, offset, True))
        return True

    def _position_of(self, record: CommandRecord) -> int:
        if not record.stream:
            return record.beyond
        events = self._log.read(record.stream, record.version, 1)
        if not events or events[0].version != record.version:
            return 0
        return events[0].position + record.beyond

    def _decide(self, request: Request) -> None:
        command, domain = request.command, self._domain
        names = request.streams
        states = {name: self._read(name).state for name in names}
        if self._repeats(request):
            return
        self._depends.update(names)
        decision = domain.decide(command, states, self._now)
        first = next((write.stream for write in decision.writes if write.events), None)
        if first is not None and first not in self._used:
            self._read(first)
            if self._repeats(request):
                return
        try:
            self._carry_out(request, decision)
        except Exception as error:
            raise DecisionBroken(f"{command.id}: {type(error).__name__}: {error}") from error
        self._answers.append((request, decision.receipt, self._drafts, False))

    def _carry_out(self, request: Request, decision: Decision) -> None:
        """Apply the writes to the states, and keep them and the command's record for the append."""
        begun = self._drafts
        for write in decision.writes:
            if not write.events:
                continue
            if self._drafts == begun:
                self._depends.add(write.stream)  # or two processes could do one command at once
            self._write(request, write)
            if write.stream in self._depends:
                self._anchor = write.stream, self._used[write.stream].version, self._drafts
        stream, version, offset = self._anchor
        record = CommandRecord(
            self._now,
            fingerprint_of(request.command),
            self._domain.encode_receipt(decision.receipt),
            stream,
            version,
            self._drafts - offset,
        )
        self._records[request.command.id] = record, self._drafts

    def _depend(self, stream: str) -> None:
        self._read(stream)
        self._depends.add(stream)

    def _read(self, stream: str) -> KeptState:
        used = self._used.get(stream)
        if used is None:
            used = self._used[stream] = self._aggregates.get(stream)
            self._base[stream] = used.version
            for fact in self._pending.pop(stream, ()):
                self._evolve(used, fact)
        return used

    def _write(self, request: Request, write: Write) -> None:
        stream, encode, current = write.stream, self._domain.encode_event, self._reader.current
        if write.checked:
            self._depend(stream)
        elif self._aggregates.kept(stream) is not None:
            self._read(stream)
        used = self._used.get(stream)
        drafts = []
        for fact in write.events:
            kind = type(fact).__name__
            draft = Draft(
                kind,
                encode(fact),
                schema_version=current(kind),
                actor=request.actor,
                correlation_id=request.correlation_id,
            )
            drafts.append(draft)
            if used is not None:
                self._evolve(used, fact)
            else:
                self._pending.setdefault(stream, []).append(fact)
        self._drafts += len(drafts)
        self._writes.append((stream, drafts))
        self._last[stream] = draft

    def _evolve(self, used: KeptState, fact: Any) -> None:
        used.state = self._domain.evolve(used.state, fact)
        used.version += 1

    # -- appending -----------------------------------------------------------------------------------------

    def append(self) -> Append | None:
        """Return what is to be appended; None: nothing was even read.

        A batch of refusals writes nothing, but they stand only if what they were decided on is still so.
        """
        if not self._depends:
            return None
        snapshots = self._snapshots()
        expected = {stream: self._base[stream] for stream in self._depends}
        written = {stream for stream, _ in self._writes}
        return Append(
            [(stream, expected.get(stream, ANY), drafts) for stream, drafts in self._writes],
            checks=[(stream, version) for stream, version in expected.items() if stream not in written],
            state=[
                (record_key(self._domain.name, command), encode_record(record))
                for command, (record, _) in self._records.items()
            ]
            + snapshots,
        )

    def _snapshots(self) -> list[tuple[bytes, bytes]]:
        """Return the images that are due of states which the batch changes, to be appended with its events.

        Such a stream must be at its base: a state that another process has overtaken would be wrong.
        """
        made = []
        for stream, draft in self._last.items():
            used = self._used.get(stream)
            if used is None or used.version < used.due:
                continue
            snapshots = self._aggregates.snapshots
            try:
                value, used.size = snapshots.make(stream, used.state, used.version, draft.id_bytes)
            except Exception:  # a domain's defect: the command is none the worse for it
                logger.exception("no snapshot of %s can be made", stream)
                value = b""
            used.due = snapshots.due(used.version, used.size)
            if value:
                self._depends.add(stream)
                made.append((snapshot_key(stream), value))
        return made

    def discard(self) -> None:
        """Forget the states that were used: they hold events that did not come to be, or old versions."""
        for stream in self._used:
            self._aggregates.drop(stream)

    def answer(self, appended: Appended | None) -> tuple[int, int, int]:
        """Give each request its answer, now that the events are on disk.

        Returns how many were done, repeated and refused.
        """
        first, last = 0, self._log.last_position()
        if appended is not None:
            first, last = appended.first_position, appended.last_position
            self._drop_overtaken(appended.versions)
        done = again = refused = 0
        for request, answer, offset, repeated in self._answers:
            refusal = isinstance(answer, AgoraError)
            done, again, refused = done + (not repeated), again + repeated, refused + refusal
            if request.future.done():
                continue
            if refusal:
                request.future.set_exception(answer)
                continue
            position = last if offset == 0 else -offset if offset < 0 else first + offset - 1
            request.future.set_result(CommandResult(answer, position, repeated))
        return done - refused, again, refused

    def _drop_overtaken(self, versions: Sequence[int]) -> None:
        """Forget states beside which another process has appended: facts that came at any version."""
        reached = dict(zip([stream for stream, _ in self._writes], versions, strict=True))
        for stream, version in reached.items():
            used = self._used.get(stream)
            if used is not None and used.version != version:
                self._aggregates.drop(stream)
