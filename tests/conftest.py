"""Leave nothing behind in shared memory: gateways come and go by the hundred here."""

from collections.abc import Iterator

import pytest

from core.shared_memory import sweep


@pytest.fixture(autouse=True, scope="module")
def swept_shared_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Remove the regions of this run's data directories after each module."""
    yield
    sweep(inside=tmp_path_factory.getbasetemp())
