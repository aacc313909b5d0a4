"""Be clients that load a gateway, and count what becomes of each request."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType

from tests.harness import Client
from tests.processes.served import PATIENCE, Served, get


class Load:
    """Send requests one after the other on each of several connections, for as long as the block lasts.

    answers: how often each pair of status and body came
    broken:  requests that ended with their connection; the client then opens another
    """

    def __init__(self, served: Served, path: str = "/hello", *, clients: int = 8) -> None:
        self.answers: Counter[tuple[int, bytes]] = Counter()
        self.broken = 0
        self._served = served
        self._path = path
        self._clients = clients
        self._stopping = False
        self._news = asyncio.Event()

    async def __aenter__(self) -> Load:
        """Begin, and wait for the first answers."""
        self._tasks = [asyncio.ensure_future(self._run()) for _ in range(self._clients)]
        await self.more(self._clients)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let each client finish its request, then end."""
        self._stopping = True
        if error is not None:
            for task in self._tasks:
                task.cancel()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*self._tasks, return_exceptions=error is not None)

    @property
    def answered(self) -> int:
        """Return how many answers came whole."""
        return self.answers.total()

    async def more(self, count: int) -> None:
        """Wait for so many more answers."""
        wanted = self.answered + count
        async with asyncio.timeout(PATIENCE):
            while self.answered < wanted:
                self._news.clear()
                await self._news.wait()

    async def _run(self) -> None:
        client: Client | None = None
        while not self._stopping:
            try:
                client = client or await self._served.connect()
                answer = await get(client, self._path)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.broken += 1
                if client is not None:
                    client.abort()
                client = None
                continue
            self.answers[answer.status, bytes(answer.body)] += 1
            self._news.set()
            if answer.header(b"connection") == b"close":
                client.abort()
                client = None
        if client is not None:
            client.abort()
