"""The request-log plugin: what it logs can be read, from the log and as lines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from core.decode import ConfigInvalid
from core.exchange import Exchange, Response
from core.request_log import Record, RequestLog, RequestLogReader
from core.testing import PluginChain, site_for
from gateway.commands.requests import DIRECTORY as READ_BY_THE_COMMAND
from plugins.request_log import DIRECTORY
from tests.plugins.make import plugin


@asynccontextmanager
async def logging(data_dir: Path, *others: object, **options: Any) -> AsyncIterator[PluginChain]:
    """Open the plugin and yield a chain of it and others; what was logged is on the disk afterwards."""
    made = plugin("request-log", site_for(data_dir, route="test"), **options)
    await made.open()
    try:
        yield PluginChain(*others, made, route="market", path="/markets/{id}")
    finally:
        await made.close()


def logged(data_dir: Path) -> list[Record]:
    """Return everything in the log."""
    with RequestLogReader.open(data_dir / DIRECTORY) as reader:
        return reader.read(limit=1000).records


def test_logs_where_agora_requests_reads() -> None:
    assert DIRECTORY == READ_BY_THE_COMMAND


async def test_logs_what_is_known_of_an_exchange(tmp_path: Path) -> None:
    class Consumer:
        def request(self, exchange: Exchange) -> None:
            exchange.consumer = "alice"

    async with logging(tmp_path, plugin("request-id"), plugin("trace"), Consumer()) as chain:
        sent = chain.send(
            "POST",
            "http://api.test/markets/7?token=secret",
            body=b"abc",
            headers={"user-agent": "test/1"},
            client="192.0.2.7",
        )
    (record,) = logged(tmp_path)
    assert (record.method, record.host, record.path) == ("POST", "api.test", "/markets/7")
    assert (record.status, record.bytes_in, record.bytes_out) == (200, 3, 6)
    assert (record.route, record.target, record.client) == ("market", "stand-in", "192.0.2.7")
    assert (record.consumer, record.user_agent) == ("alice", "test/1")
    assert sent.exchange.request_id is not None
    assert sent.exchange.trace_id is not None
    assert (record.request_id.encode(), record.trace_id.encode()) == (
        sent.exchange.request_id,
        sent.exchange.trace_id,
    )


async def test_leaves_queries_out_unless_asked(tmp_path: Path) -> None:
    async with logging(tmp_path) as chain:
        chain.send(url="/markets/7?token=secret")
    async with logging(tmp_path, queries=True) as chain:
        chain.send(url="/markets/7?page=2")
    assert [record.query for record in logged(tmp_path)] == ["", "page=2"]


async def test_logs_the_path_that_was_matched_not_what_it_was_rewritten_to(tmp_path: Path) -> None:
    async with logging(tmp_path, plugin("rewrite", path="/v2/{id}")) as chain:
        assert chain.send(url="/markets/7").forwarded is not None
    assert [record.path for record in logged(tmp_path)] == ["/markets/7"]


async def test_logs_refusals_and_what_no_route_takes(tmp_path: Path) -> None:
    class Closed:
        def request(self, exchange: Exchange) -> Response | None:
            return None if exchange.route == "" else Response.refusal(403, "closed", "Closed")

    async with logging(tmp_path, Closed()) as chain:
        chain.send(url="/markets/7")
        chain.send(url="/elsewhere")
    first, second = logged(tmp_path)
    assert (first.status, first.problem) == (403, "closed")
    assert (second.status, second.route, second.path) == (404, "", "/elsewhere")


async def test_logs_a_share_but_all_failures(tmp_path: Path) -> None:
    class Teapot:
        def request(self, exchange: Exchange) -> Response | None:
            return Response.refusal(503, "full", "Full") if exchange.parameters["id"] == "bad" else None

    async with logging(tmp_path, Teapot(), sample=0) as chain:
        for name in ("good", "bad", "good"):
            chain.send(url=f"/markets/{name}")
    assert [record.path for record in logged(tmp_path)] == ["/markets/bad"]


async def test_logs_no_more_than_the_share_if_failures_are_nothing_special(tmp_path: Path) -> None:
    async with logging(tmp_path, sample=0, failures=False) as chain:
        chain.send(url="/elsewhere")
    assert logged(tmp_path) == []


async def test_writes_json_lines_besides(tmp_path: Path) -> None:
    lines = tmp_path / "requests.jsonl"
    async with logging(tmp_path, lines=str(lines)) as chain:
        chain.send(url="/markets/7")
    (line,) = lines.read_text().splitlines()
    assert json.loads(line)["path"] == "/markets/7"


def test_a_lines_file_lies_beside_the_configuration() -> None:
    assert plugin("request-log", lines="log/requests.jsonl").config.lines == "/etc/agora/log/requests.jsonl"
    assert plugin("request-log", lines="stdout").config.lines == "stdout"


async def test_all_instances_share_one_log(tmp_path: Path) -> None:
    async with logging(tmp_path) as first, logging(tmp_path) as second:
        first.send(url="/markets/1")
        second.send(url="/markets/2")
        assert len(RequestLog._open) == 1
    assert sorted(record.path for record in logged(tmp_path)) == ["/markets/1", "/markets/2"]
    assert not RequestLog._open


async def test_an_instance_that_closes_leaves_the_others_logging(tmp_path: Path) -> None:
    async with logging(tmp_path) as stays:
        async with logging(tmp_path):
            pass
        stays.send(url="/markets/1")
    assert len(logged(tmp_path)) == 1


def test_an_exchange_before_it_is_opened_is_not_logged(tmp_path: Path) -> None:
    made = plugin("request-log", site_for(tmp_path))
    assert PluginChain(made).send().status == 200
    assert not (tmp_path / DIRECTORY).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_bytes": "1KiB"}, "max_bytes: must be at least 1MiB"),
        ({"buffer": 0}, "buffer: must be at least 128KiB"),
        ({"flush_interval": "1ms"}, "flush_interval: must be from 10ms to 60s"),
        ({"flush_interval": "2m"}, "flush_interval: must be from 10ms to 60s"),
        ({"sample": 2}, "sample: must be a number from 0 to 1"),
        ({"lines": ""}, "lines: must be"),
    ],
)
def test_refuses_options_that_no_log_can_keep(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        plugin("request-log", **options)
