import asyncio
import os
import signal
from collections import Counter

import pytest

from tests.harness import PATIENCE, Client, Origin
from tests.processes.conftest import Start
from tests.processes.load import Load
from tests.processes.served import Served, answering_when_told, eventually, fixed, get, proxied, samples

LIMIT = 200  # requests a day: what is given back during a test is less than one of them


async def on_each(served: Served, most: int) -> dict[int, list[Client]]:
    """Open connections until each of two workers serves so many, or more."""
    clients: dict[int, list[Client]] = {0: [], 1: []}
    async with asyncio.timeout(PATIENCE):
        while min(map(len, clients.values())) < most:
            client = await served.connect()
            clients[await served.worker_of(client)].append(client)
    return clients


def abort(clients: dict[int, list[Client]]) -> None:
    for client in [*clients[0], *clients[1]]:
        client.abort()


def gone(process: int) -> bool:
    """Tell whether a process runs no more; a zombie has ended."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def requests(served: Served) -> float:
    return await served.count("agora_requests_total", route="hello")


async def test_connections_are_shared_out_over_the_workers(agora: Start) -> None:
    served = await agora(fixed("hi", workers=2))
    clients = await on_each(served, 3)
    for client in [*clients[0], *clients[1]]:
        assert (await get(client, "/hello")).body == b"hi"
    abort(clients)
    assert await served.stop() == 0


async def test_a_worker_that_is_killed_breaks_its_own_connections_alone(agora: Start) -> None:
    served = await agora(fixed("hi", workers=2))
    clients = await on_each(served, 3)
    victim = served.workers()[0]
    os.kill(victim, signal.SIGKILL)
    for client in clients[0]:
        assert await client.closed()
    for client in clients[1]:
        assert (await get(client, "/hello")).body == b"hi"
    await served.line("worker 0 ended with code -9")
    await served.line("worker 0 is process", 2)
    assert served.workers()[0] != victim
    again = await on_each(served, 1)
    abort(clients)
    abort(again)
    assert await served.stop() == 0


async def test_connections_made_while_a_worker_is_replaced_are_served(agora: Start) -> None:
    served = await agora(fixed("hi", workers=2))
    os.kill(served.workers()[1], signal.SIGKILL)
    answers = await asyncio.gather(*(served.get("/hello") for _ in range(40)))
    assert {answer.status for answer in answers} == {200}


async def test_counters_are_exact_over_a_worker_s_replacement(agora: Start) -> None:
    served = await agora(fixed("hi", workers=2))
    answered = 0
    for turn in range(3):
        async with Load(served, clients=16) as load:
            await load.more(200)
        answered += load.answered
        assert load.broken == 0
        assert await requests(served) == answered
        os.kill(served.workers()[turn % 2], signal.SIGKILL)
        await served.line(r"worker \d is process", 3 + turn)
        assert await requests(served) == answered


async def test_a_worker_killed_under_load_loses_no_count(agora: Start) -> None:
    served = await agora(fixed("hi", workers=2))
    stop = asyncio.Event()
    seen: list[float] = []

    async def scrape() -> None:
        while not stop.is_set():
            try:
                seen.append(await requests(served))
            except (ConnectionError, asyncio.IncompleteReadError):
                continue  # it came to the worker that was killed

    scraping = asyncio.ensure_future(scrape())
    async with Load(served, clients=16) as load:
        for turn in range(4):
            await load.more(300)
            os.kill(served.workers()[turn % 2], signal.SIGKILL)
            await served.line(r"worker \d is process", 3 + turn)
        await load.more(300)
    stop.set()
    await scraping
    assert seen == sorted(seen)  # what is counted never goes down
    total = await requests(served)
    # NOTE: of a request that died with its worker, nobody can tell whether it was answered; and between an
    # answer and its count a worker can die, once.
    assert load.answered - 4 <= total <= load.answered + load.broken
    assert 0 < load.broken <= 4 * 16
    assert set(load.answers) == {(200, b"hi")}


async def test_the_gauge_of_connections_returns_to_the_truth(agora: Start) -> None:
    served = await agora(fixed("hi", workers=2))
    clients = await on_each(served, 5)
    open_now = len(clients[0]) + len(clients[1])
    assert await served.count("agora_connections") == open_now + 1  # and the one that asks
    os.kill(served.workers()[0], signal.SIGKILL)

    async def told(count: int) -> bool:
        return await served.count("agora_connections") == count + 1

    await eventually(lambda: told(len(clients[1])), "the connections of a dead worker are counted no more")
    await served.line(r"worker 0 is process", 2)
    again = await on_each(served, 1)
    abort(again)
    await eventually(lambda: told(len(clients[1])), "those of the new worker are counted, and given back")
    abort(clients)
    await eventually(lambda: told(0), "no connections are open")


async def test_any_worker_tells_the_same_metrics(agora: Start) -> None:
    served = await agora(fixed("hi", workers=2))
    async with Load(served, clients=16) as load:
        await load.more(100)
    clients = await on_each(served, 1)
    for worker in clients.values():
        text = bytes((await get(worker[0], "/metrics")).body).decode()
        (count,) = [
            value for labels, value in samples(text, "agora_requests_total") if labels["route"] == "hello"
        ]
        assert count == load.answered
    abort(clients)


async def test_two_workers_admit_exactly_the_rate(agora: Start) -> None:
    config = fixed("hi", workers=2)
    config["route"][0]["plugin"] = [{"use": "rate-limit", "limit": f"{LIMIT}/day"}]
    served = await agora(config)
    clients = await on_each(served, 8)
    statuses: Counter[int] = Counter()

    async def ask(client: Client) -> None:
        for _ in range(LIMIT // 8):
            statuses[(await get(client, "/hello")).status] += 1

    await asyncio.gather(*(ask(client) for client in [*clients[0], *clients[1]]))
    asked = LIMIT // 8 * (len(clients[0]) + len(clients[1]))
    assert statuses == {200: LIMIT, 429: asked - LIMIT}
    abort(clients)


async def test_rates_survive_a_worker_that_is_killed(agora: Start) -> None:
    config = fixed("hi", workers=2)
    config["route"][0]["plugin"] = [{"use": "rate-limit", "limit": f"{LIMIT}/day"}]
    served = await agora(config)
    async with Load(served, clients=8) as load:
        await load.more(LIMIT // 4)
        os.kill(served.workers()[0], signal.SIGKILL)
        await load.more(2 * LIMIT)
    admitted = load.answers[200, b"hi"]
    # NOTE: a request that was admitted may have died with its worker.
    assert LIMIT - load.broken <= admitted <= LIMIT


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
async def test_workers_stop_when_their_supervisor_is_killed(agora: Start, busy: bool) -> None:
    asked, go = asyncio.Event(), asyncio.Event()
    async with Origin(answering_when_told(asked, go)) as origin:
        served = await agora(proxied(origin.url, workers=2))
        workers = served.workers()
        client = await served.connect()
        if busy:
            client.send(b"GET / HTTP/1.1\r\nHost: agora.test\r\n\r\n")
            await asked.wait()
        served.process.kill()
        await served.line("the supervisor is gone: worker 0 stops")
        await served.line("the supervisor is gone: worker 1 stops")
        go.set()
        if busy:
            assert (await client.response()).body == b"done"
        assert await client.closed()
        for process in workers.values():
            await eventually(lambda process=process: gone(process), f"process {process} has ended")
        client.abort()
    await served.code()
    again = await agora(fixed("again", workers=2, listen=f"127.0.0.1:{served.port}"))
    assert (await again.get("/hello")).body == b"again"


async def test_a_worker_that_keeps_dying_is_replaced_ever_more_slowly(agora: Start) -> None:
    served = await agora(fixed("hi", workers=2))
    for turn in range(3):
        os.kill(served.workers()[0], signal.SIGKILL)
        await served.line(r"worker 0 is process", turn + 2)
    pauses = [float(line.split()[-2]) for line in served.matching("starting another in")]
    assert pauses == [0.2, 0.4, 0.8]
    assert await served.stop() == 0


async def test_a_worker_that_comes_back_has_the_newest_configuration(agora: Start) -> None:
    served = await agora(fixed("old", workers=2))
    await served.reload(fixed("new", workers=2), workers=2)
    os.kill(served.workers()[0], signal.SIGKILL)
    await served.line("worker 0 is process", 2)
    clients = await on_each(served, 1)
    for worker in clients.values():
        assert (await get(worker[0], "/hello")).body == b"new"
    abort(clients)


async def test_a_reload_reaches_a_worker_that_is_starting(agora: Start) -> None:
    served = await agora(fixed("old", workers=2))
    os.kill(served.workers()[0], signal.SIGKILL)
    await served.line("worker 0 is process", 2)
    await served.reload(fixed("new", workers=2), workers=2)
    clients = await on_each(served, 1)
    for worker in clients.values():
        assert (await get(worker[0], "/hello")).body == b"new"
    assert not served.matching("worker 0 ended with code -1$")
    abort(clients)
