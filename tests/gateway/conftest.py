"""Both doors, opened once for each module that asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.gateway.both_doors import Backend, Door, all_doors


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend() -> AsyncIterator[Backend]:
    made = Backend()
    async with made.origin:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory, backend: Backend) -> AsyncIterator[dict[str, Door]]:
    async with all_doors(tmp_path_factory.mktemp("doors"), backend) as opened:
        yield opened
