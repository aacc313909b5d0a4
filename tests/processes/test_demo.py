"""`agora demo` against a real gateway that serves the market as examples/market.toml says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.test_cli import on_a_terminal, plain
from tests.processes.conftest import Start
from tests.processes.served import AGORA, PATIENCE, Served

EXAMPLE = Path(__file__).parents[2] / "examples" / "market.toml"


def market_config(**server: Any) -> dict[str, Any]:
    """Return the example's configuration, on a free port; without its route to another example."""
    config = tomllib.loads(EXAMPLE.read_text())
    config["server"] |= {"listen": "127.0.0.1:0", **server}
    config["route"] = [route for route in config["route"] if route["name"] == "market"]
    return config


class Demo:
    """One `agora demo`; lines: what it has printed so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    @classmethod
    async def start(cls, served: Served, *options: str) -> Demo:
        pipe = asyncio.subprocess.PIPE
        url = f"http://127.0.0.1:{served.port}/market"
        return cls(
            await asyncio.create_subprocess_exec(AGORA, "demo", url, *options, stdout=pipe, stderr=pipe)
        )

    async def line(self, part: str) -> str:
        """Wait for a line that has some text in it."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line)
                if part in line:
                    return line
        raise AssertionError(f"no line has {part!r}:\n{''.join(self.lines)}{await self.errors()}")

    async def errors(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()

    async def end(self) -> tuple[int, str]:
        """Return the exit code, and all that was printed."""
        async with asyncio.timeout(PATIENCE):
            out, errors = await self.process.communicate()
        assert errors == b"", errors.decode()
        assert self.process.returncode is not None
        return self.process.returncode, "".join(self.lines) + out.decode()


SMALL = ("--orders", "400", "--traders", "20", "--connections", "8")


@pytest.mark.parametrize("workers", [1, 2])
async def test_trades_settles_and_accounts_for_every_cent(agora: Start, workers: int) -> None:
    served = await agora(market_config(workers=workers))
    code, shown = await (await Demo.start(served, *SMALL)).end()
    lines = [line.split("\t") for line in shown.splitlines()]
    assert code == 0
    stages = [line[1] for line in lines if len(line) == 9 and line[0].endswith(" s")]
    for stage in ("looking for the market", "making users and markets", "trading", "settling"):
        assert stage in stages
    markets = [line for line in lines if len(line) == 9 and not line[0].endswith(" s")]
    assert [line[2] for line in markets] == ["settled"] * 4
    assert markets[2][8] == "void"
    assert {line[8] for line in markets} <= {"yes", "no", "void"}
    assert lines[-1][0].startswith("money is conserved: paid in ")
    assert "= traders" in lines[-1][0]


async def test_tells_programs_all_in_one_document(agora: Start) -> None:
    served = await agora(market_config())
    options = (*SMALL, "--seed", "7", "--markets", "2", "--rate", "1000", "--json")
    for name in ("one", "two"):
        code, shown = await (await Demo.start(served, *options, "--name", name)).end()
        told = json.loads(shown)
        assert code == 0
        assert (told["seed"], told["name"], told["traders"]) == (7, name, 20)
        assert told["progress"]["orders"] == 400
        assert told["progress"]["trades"] > 20
        assert told["progress"]["seconds"] >= 399 / 1000  # the last order is not sent before
        assert set(told["answers"]) == {f"{name}-m1", f"{name}-m2"}
        assert len(told["leaders"]) == 5
        money = told["money"]
        assert money["wrong"] == []
        assert money["platform"] > 0
        assert money["deposits"] == money["cash"] + money["escrow"] + money["platform"]


async def test_goes_on_when_a_worker_dies_and_loses_nothing(agora: Start) -> None:
    served = await agora(market_config(workers=2))
    demo = await Demo.start(served, "--orders", "3000", "--traders", "20", "--connections", "8")
    await demo.line("trading")
    os.kill(served.workers()[1], signal.SIGKILL)
    code, shown = await demo.end()
    assert code == 0
    assert "money is conserved" in shown
    assert len(served.matching("worker 1 is process")) == 2


async def test_shows_a_table_on_a_terminal(agora: Start, tmp_path: Path) -> None:
    served = await agora(market_config())
    url = f"http://127.0.0.1:{served.port}/market"
    code, shown = await asyncio.to_thread(on_a_terminal, "demo", url, *SMALL, cwd=tmp_path)
    assert code == 0
    for text in ("trading", "market", "question", "best traders", "refused", "money is conserved"):
        assert text in plain(shown)


@pytest.mark.parametrize(
    ("config", "path", "reason"),
    [
        (market_config(), "/elsewhere", "serves no market at .*/elsewhere: No route matches"),
        ({**market_config(), "event_sourcing": {}}, "/market", r"serves no market at .*\[event_sourcing\]"),
    ],
)
async def test_says_what_is_missing(agora: Start, config: dict[str, Any], path: str, reason: str) -> None:
    served = await agora(config)
    process = await asyncio.create_subprocess_exec(
        AGORA, "demo", f"http://127.0.0.1:{served.port}{path}", stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(errors.decode())
