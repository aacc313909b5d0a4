from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.processes.served import Served, write_config

Start = Callable[..., Awaitable[Served]]


@pytest_asyncio.fixture
async def agora(tmp_path: Path) -> AsyncIterator[Start]:
    """Start gateways, each on the configuration given, with its data in tmp_path/var."""
    started: list[Served] = []

    async def start(
        config: dict[str, Any], *, name: str = "agora.json", wait: bool = True, **options: Any
    ) -> Served:
        file = tmp_path / name
        write_config(file, config)
        served = await Served.start(file, cwd=tmp_path, **options)
        started.append(served)
        return await served.ready() if wait else served

    try:
        yield start
    finally:
        for served in started:
            served.kill()
        for served in started:
            await served.code()
    for served in started:
        assert not served.matching("Traceback"), served.output
