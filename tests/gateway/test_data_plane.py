import gc
from collections.abc import Iterator
from typing import Any

import pytest

from core._fast.plan import Plan
from gateway.config import from_data
from tests.harness import serving


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def config(folder: str, body: str) -> dict[str, Any]:
    routes = [
        {"name": f"route-{n}", "path": f"/{n}", "respond": {"body": body}, "plugin": [{"use": "request-id"}]}
        for n in range(20)
    ]
    return {"server": {"data_dir": folder}, "route": routes}


REQUEST = b"GET /1 HTTP/1.1\r\nHost: agora.test\r\nConnection: close\r\n\r\n"


def plans() -> int:
    return sum(isinstance(held, Plan) for held in gc.get_objects())


async def test_an_old_snapshot_is_freed_without_the_collector(no_collector: None) -> None:
    async with serving({"route": config("", "old")["route"]}) as gateway:
        folder = str(gateway.plane.config.server.data_dir)
        await gateway.exchange(REQUEST)
        before = plans()
        for turn in range(5):
            await gateway.plane.swap(from_data(config(folder, f"new {turn}")))
            answer = await gateway.exchange(REQUEST)
            assert answer.endswith(b"new %d" % turn)
        assert plans() == before
