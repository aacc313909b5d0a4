"""The lifespan protocol towards applications."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette

from gateway.lifespan import Application, AppStartFailed, Lifespan, Message


def speaking(*answers: str, **extra: Any) -> Application:
    """Return an application that answers each event with the next of these."""

    async def app(scope: Message, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        for answer in answers:
            event = await receive()
            assert answer.startswith(event["type"])
            await send({"type": answer, **extra})

    return app


async def test_starts_and_stops_an_application_in_one_task() -> None:
    tasks = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, int]]:
        tasks.append(asyncio.current_task())
        async with asyncio.TaskGroup():
            yield {"pool": 1}
        tasks.append(asyncio.current_task())

    life = Lifespan(Starlette(lifespan=lifespan))
    await life.startup()
    assert life.state == {"pool": 1}
    await life.shutdown()
    assert len(tasks) == 2
    assert tasks[0] is tasks[1]


async def test_an_application_that_does_not_speak_the_protocol_is_fine() -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"

    life = Lifespan(app)
    await life.startup()
    await life.shutdown()


async def test_an_application_that_returns_at_once_is_fine() -> None:
    life = Lifespan(speaking())
    await life.startup()
    await life.shutdown()


async def test_a_failure_at_the_start_is_an_error_with_the_applications_words() -> None:
    with pytest.raises(AppStartFailed, match="no database"):
        await Lifespan(speaking("lifespan.startup.failed", message="no database")).startup()
    with pytest.raises(AppStartFailed, match="gave no reason"):
        await Lifespan(speaking("lifespan.startup.failed")).startup()


async def test_a_starlette_application_that_fails_says_why() -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise KeyError("no database")
        yield

    with pytest.raises(AppStartFailed, match="no database"):
        await Lifespan(Starlette(lifespan=lifespan)).startup()


async def test_a_failure_at_the_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    life = Lifespan(speaking("lifespan.startup.complete", "lifespan.shutdown.failed", message="stuck file"))
    await life.startup()
    await life.shutdown()
    assert "stuck file" in caplog.text


async def test_an_application_that_breaks_while_it_serves_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise KeyError("background work")

    life = Lifespan(app)
    await life.startup()
    await life.shutdown()
    assert [record.levelno for record in caplog.records if "left the lifespan" in record.message] == [
        logging.ERROR
    ]


async def test_an_application_that_will_not_stop_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    cancelled = asyncio.Event()

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    life = Lifespan(app)
    await life.startup()
    await life.shutdown(seconds=0)
    assert cancelled.is_set()
    assert "longer than" in caplog.text


async def test_a_start_that_is_given_up_cancels_the_application() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def app(scope: Message, receive: Any, send: Any) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    starting = asyncio.create_task(Lifespan(app).startup())
    await started.wait()
    starting.cancel()
    await asyncio.wait({starting})
    await cancelled.wait()
    assert starting.cancelled()


async def test_stopping_what_was_never_started_does_nothing() -> None:
    await Lifespan(speaking()).shutdown()


async def test_an_answer_of_another_protocol_is_an_error_of_the_application() -> None:
    seen: list[Exception] = []

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await receive()
        try:
            await send({"type": "http.response.start"})
        except RuntimeError as error:
            seen.append(error)

    await Lifespan(app).startup()
    assert len(seen) == 1
