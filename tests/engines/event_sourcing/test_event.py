"""Events as they are shown: opened while that may be, upcast, and whole otherwise."""

from __future__ import annotations

import msgspec
import pytest

from core._fast.envelope import BYTES, ENCRYPTED, MSGPACK, Draft
from core.event_log.errors import EventInvalid, EventSealed
from core.event_log.log import EventLog
from core.event_log.subjects import Subjects
from core.event_log.upcasting import Step, Upcaster
from engines.event_sourcing.event import EventReader


async def test_shows_personal_data_until_its_subjects_key_is_erased(log: EventLog) -> None:
    subjects = Subjects(log.store)
    sealed = subjects.seal("user:7", "user-7", "Named", msgspec.msgpack.encode({"name": "Ann"}))
    done = await log.append("user-7", [Draft("Named", sealed, codec=MSGPACK + ENCRYPTED)])
    stored = log.store.read(done.first_position, 1)[0]
    reader = EventReader(subjects=subjects)
    shown = reader.event(stored)
    assert (shown.sealed, shown.data) == (True, {"name": "Ann"})
    assert reader.data(stored) == msgspec.msgpack.encode({"name": "Ann"})
    subjects.erase("user:7")
    assert msgspec.structs.replace(shown, data=None) == reader.event(stored)
    with pytest.raises(EventSealed):
        reader.data(stored)
    assert EventReader().event(stored).data is None


async def test_leads_an_old_event_to_its_new_name_and_data(log: EventLog) -> None:
    upcaster = Upcaster(
        [
            Step(name="split", type="Named", version=1, change=lambda d: {**d, "last": ""}),
            Step(name="call", type="Named", version=2, change=lambda d: d, renamed="Called"),
        ]
    )
    data = msgspec.msgpack.encode({"type": "Named", "name": "Ann"})
    await log.append("user-7", [Draft("Named", data), Draft("Named", b"\x01")])
    first, wrong = log.read("user-7")
    reader = EventReader(upcaster)
    shown = reader.event(first)
    assert (shown.type, shown.schema_version) == ("Called", 3)
    assert shown.data == {"type": "Called", "name": "Ann", "last": ""}
    assert msgspec.msgpack.decode(reader.data(first)) == shown.data
    with pytest.raises(ValueError, match="no object"):
        reader.event(wrong)


async def test_shows_bytes_as_they_are(log: EventLog) -> None:
    await log.append("raw", [Draft("Raw", b"\x00\xff", codec=BYTES)])
    assert EventReader().event(log.read("raw")[0]).data == b"\x00\xff"


def test_a_step_that_fails_is_named() -> None:
    step = Step(name="split", type="Named", version=1, change=lambda d: {"x": d["y"]})
    with pytest.raises(EventInvalid, match="split"):
        Upcaster([step]).upcast("Named", 1, {})
