"""Run these tests on uvloop, as the gateway does; a test that names its loops runs on those instead."""

import asyncio
from collections.abc import Callable, Mapping

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
