from typing import Any

import pytest

from core.event_log.errors import EventInvalid
from core.event_log.upcasting import Step, Upcaster


def split(data: dict[str, Any]) -> dict[str, Any]:
    first, _, last = data["name"].partition(" ")
    return {"first": first, "last": last}


SPLIT = Step(name="split the name in two", type="UserNamed", version=1, change=split)
RENAME = Step(
    name="call it UserRegistered", type="UserNamed", version=2, change=dict, renamed="UserRegistered"
)
COUNTRY = Step(
    name="add the country", type="UserRegistered", version=3, change=lambda data: {**data, "country": ""}
)
STEPS = [COUNTRY, SPLIT, RENAME]


def test_takes_an_old_event_through_every_step_in_order() -> None:
    data = {"name": "Ada Lovelace"}
    assert Upcaster(STEPS).upcast("UserNamed", 1, data) == (
        "UserRegistered",
        4,
        {"first": "Ada", "last": "Lovelace", "country": ""},
    )
    assert data == {"name": "Ada Lovelace"}


@pytest.mark.parametrize(("kind", "version"), [("UserRegistered", 4), ("Other", 1)])
def test_leaves_events_of_today_alone(kind: str, version: int) -> None:
    data = {"a": 1}
    assert Upcaster(STEPS).upcast(kind, version, data) == (kind, version, data)


def test_tells_the_way_and_the_version_of_today() -> None:
    upcaster = Upcaster(STEPS)
    assert [step.name for step in upcaster.path("UserNamed", 2)] == [RENAME.name, COUNTRY.name]
    assert upcaster.current("Other") == 1
    assert Upcaster([SPLIT]).current("UserNamed") == 2


def test_names_the_step_that_cannot_take_an_event() -> None:
    with pytest.raises(EventInvalid, match="'split the name in two' cannot take this UserNamed of version 1"):
        Upcaster(STEPS).upcast("UserNamed", 1, {})


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([SPLIT, SPLIT, Step(name="b", type="UserNamed", version=1, change=dict)], "and 'b' both take"),
        ([RENAME], "takes UserNamed of version 2, but no step leads there"),
        ([Step(name="zero", type="A", version=0, change=dict)], "'zero': versions start at 1"),
    ],
)
def test_refuses_steps_that_do_not_join(steps: list[Step], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Upcaster(steps)
