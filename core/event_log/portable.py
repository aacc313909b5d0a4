"""Events as CloudEvents 1.0, a JSON document a line: to take them out of a log, and into another.

The rule it guards: what was exported and is imported again has the same ids, times, types, streams, tags,
data (byte for byte) and order within each stream; positions, versions and the chain of hashes are the new
log's.
`agora log export`, `import`, `tail --json` and `show --json` call.

    CloudEvents        the log
    id, type, time     the event's id (a UUID), type, and time to the nanosecond
    source             urn:uuid: and the log's own id
    subject            stream
    data               the data, where JSON gives the same bytes back; data_base64 elsewhere
    datacontenttype    application/json, application/vnd.msgpack or application/octet-stream: how it is stored
    position, streamversion      numbers, as text: CloudEvents' integers have 32 bits
    schemaversion      of the type's data
    correlationid, causationid, actor
    tags               a JSON array, as text
    sealed             true: the data is encrypted under its subject's key, which stays in the log
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

import msgspec

from core._fast.envelope import BYTES, ENCRYPTED, JSON, MSGPACK, NAME_LIMIT, Draft, Event
from core._fast.event_append import ANY, Append
from core._fast.event_store import EventStore
from core.event_log.errors import EventIdConflict, EventInvalid, EventLogError, ImportRefused

SPEC = "1.0"
AT_ONCE = 2000  # lines in one commit
BYTES_AT_ONCE = 4 << 20
CONTENT = {BYTES: "application/octet-stream", MSGPACK: "application/vnd.msgpack", JSON: "application/json"}
CODECS = {name: codec for codec, name in CONTENT.items()}
TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")

Report = Callable[[int], None]  # how many lines are done


class CloudEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Be one line."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str = ""
    time: str = ""
    datacontenttype: str = ""
    position: str = ""
    streamversion: str = ""
    schemaversion: int = 1
    correlationid: str = ""
    causationid: str = ""
    actor: str = ""
    tags: str = ""
    sealed: bool = False
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data_base64: bytes | msgspec.UnsetType = msgspec.UNSET


_encode_line = msgspec.json.Encoder().encode
_decode_line = msgspec.json.Decoder(CloudEvent).decode


def source_of(store: EventStore) -> str:
    """Return what the events of a log name as their source."""
    return f"urn:uuid:{UUID(bytes=store.identity)}"


def encode_event(event: Event, source: str) -> bytes:
    """Return an event as one line, without its end."""
    data = event.data
    codec = event.codec & ~ENCRYPTED
    text = None if event.sealed else _as_json(codec, data)
    correlation, causation = event.correlation_id, event.causation_id
    return _encode_line(
        CloudEvent(
            specversion=SPEC,
            id=_text_of(event.id_bytes),
            source=source,
            type=event.type,
            subject=event.stream,
            time=format_time(event.time_ns),
            datacontenttype=CONTENT.get(codec, CONTENT[BYTES]),
            position=str(event.position),
            streamversion=str(event.version),
            schemaversion=event.schema_version,
            correlationid=str(correlation) if correlation else "",
            causationid=str(causation) if causation else "",
            actor=event.actor,
            tags=msgspec.json.encode(event.tags).decode() if event.tags else "",
            sealed=event.sealed,
            data=msgspec.UNSET if text is None else msgspec.Raw(text),
            data_base64=data if text is None else msgspec.UNSET,
        )
    )


def decode_event(line: bytes) -> tuple[str, Draft]:
    """Return the stream and the event of a line; raise EventInvalid, which says what is wrong with it."""
    try:
        event = _decode_line(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EventInvalid(f"it is no CloudEvent: {error}") from None
    if not 0 < len(event.subject.encode()) <= NAME_LIMIT:
        raise EventInvalid(f"its subject, which names the stream, has 1 to {NAME_LIMIT} bytes of UTF-8")
    if event.specversion != SPEC:
        raise EventInvalid(f"it is a CloudEvent of version {event.specversion!r}, not {SPEC}")
    codec = CODECS.get(event.datacontenttype or "application/json")
    if codec is None:
        raise EventInvalid(f"data of type {event.datacontenttype!r} cannot be stored")
    return event.subject, Draft(
        event.type,
        _data_of(event, codec),
        codec=codec | ENCRYPTED if event.sealed else codec,
        id=_uuid(event.id, "id"),
        schema_version=event.schemaversion,
        tags=_tags(event.tags),
        actor=event.actor,
        correlation_id=_uuid(event.correlationid, "correlationid") if event.correlationid else None,
        causation_id=_uuid(event.causationid, "causationid") if event.causationid else None,
        time_ns=parse_time(event.time) if event.time else None,
    )


def format_time(time_ns: int) -> str:
    """Return a time, ns since 1970, as RFC 3339 has it."""
    seconds, rest = divmod(time_ns, 10**9)
    return f"{_format_second(seconds)}.{rest:09}Z"


def parse_time(text: str) -> int:
    """Return ns since 1970; raise EventInvalid unless it is a time as RFC 3339 has it."""
    match = TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        seconds = _parse_second((match[1] + match[3]).upper())
    except ValueError:
        raise EventInvalid(f"{text!r} is no time; write 2031-05-01T12:30:00Z") from None
    return seconds * 10**9 + int((match[2] or "").ljust(9, "0"))


@lru_cache(1024)  # events stand close together
def _format_second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


@lru_cache(1024)
def _parse_second(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp())


def _text_of(id: bytes) -> str:
    text = id.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _as_json(codec: int, data: bytes) -> bytes | None:
    """Return data as JSON if the same bytes can be made of it again, on one line."""
    try:
        if codec == JSON:
            msgspec.json.decode(data)
            return data if data == data.strip() and not {10, 13} & set(data) else None
        if codec == MSGPACK:
            text = msgspec.json.encode(msgspec.msgpack.decode(data))
            return text if msgspec.msgpack.encode(msgspec.json.decode(text)) == data else None
    except (msgspec.DecodeError, msgspec.ValidationError, TypeError, ValueError, OverflowError):
        pass
    return None


def _data_of(event: CloudEvent, codec: int) -> bytes:
    if event.data_base64 is not msgspec.UNSET:
        if event.data is not msgspec.UNSET:
            raise EventInvalid("it has both data and data_base64")
        return event.data_base64
    if event.data is msgspec.UNSET:
        return b""
    text = bytes(event.data)
    if codec == MSGPACK and not event.sealed:
        return msgspec.msgpack.encode(msgspec.json.decode(text))
    if codec == JSON and not event.sealed:
        return text
    raise EventInvalid("its data is bytes, which stand in data_base64")


def _uuid(text: str, name: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise EventInvalid(f"its {name} {text!r} is no UUID") from None


def _tags(text: str) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(text, type=tuple[str, ...]) if text else ()
    except msgspec.DecodeError:
        raise EventInvalid(f"its tags {text!r} are no JSON array of strings") from None


@dataclass
class Imported:
    """Say what an import came to."""

    added: int = 0
    repeated: int = 0  # were there already

    @property
    def events(self) -> int:
        """Return how many events of the file are in the log now."""
        return self.added + self.repeated


def import_lines(store: EventStore, lines: Iterable[bytes], report: Report | None = None) -> Imported:
    """Append the events of lines, in order; those whose ids are in the log already are left as they are.

    Some lines make one commit, which is whole or not at all. Raises ImportRefused at the first line that is
    no event, or whose id another event has, when all before it is in the log: mended, all can be imported
    again. Raises what a commit raises.
    """
    done = Imported()
    for batch, broken in _batches(lines):
        _add(store, batch, done)
        if broken is not None:
            raise ImportRefused(*broken, done.events)
        if report is not None:
            report(batch[-1][0])
    return done


Line = tuple[int, str, Draft]


def _batches(lines: Iterable[bytes]) -> Iterator[tuple[list[Line], tuple[int, str] | None]]:
    """Yield (line number, stream, event) by the batch; with the last one what is wrong with the next line."""
    batch: list[Line] = []
    ids: set[bytes] = set()
    size = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            stream, draft = decode_event(line)
        except EventInvalid as error:
            yield batch, (number, str(error))
            return
        if len(batch) == AT_ONCE or size > BYTES_AT_ONCE or draft.id_bytes in ids:
            yield batch, None
            batch, size, ids = [], 0, set()
        batch.append((number, stream, draft))
        ids.add(draft.id_bytes)
        size += len(line)
    if batch:
        yield batch, None


def _add(store: EventStore, batch: list[Line], done: Imported) -> None:
    """Append a batch as one; where some of it is in the log already, its halves."""
    if not batch:
        return
    (result,) = store.commit([Append([(stream, ANY, [draft]) for _, stream, draft in batch])])
    if isinstance(result, EventIdConflict):
        if len(batch) == 1:
            raise ImportRefused(batch[0][0], str(result), done.events)
        middle = len(batch) // 2
        _add(store, batch[:middle], done)
        _add(store, batch[middle:], done)
    elif isinstance(result, EventLogError):
        raise result
    elif result.repeated:
        done.repeated += len(batch)
    else:
        done.added += len(batch)
