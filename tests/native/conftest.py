"""Run these tests on uvloop, as the gateway does; a test that names its loops runs on those instead."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping

import pytest
import uvloop

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tell what loops a test runs on: uvloop, unless its asyncio mark says otherwise."""
    marker = item.get_closest_marker("asyncio")
    named = marker.kwargs.get("loop_factories") if marker is not None else None
    return {name: LOOPS[name] for name in named or ("uvloop",)}


# Where the loop, the reactor and the wheel report what nobody has caught: the gateway's own mistakes.
UNCAUGHT = ("agora.reactor", "agora.wheel", "asyncio")


@pytest.fixture(autouse=True)
def nothing_uncaught(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test in which an exception got as far as the loop."""
    yield
    for when in ("setup", "call"):
        for record in caplog.get_records(when):
            assert record.levelno < logging.ERROR or record.name not in UNCAUGHT, record.getMessage()
