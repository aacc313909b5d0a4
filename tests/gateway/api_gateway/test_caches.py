"""Cached answers are purged by API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.api_gateway.asking import api_served, body_of
from tests.harness import Recorder, upstream

ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=600\r\n"
    b"Surrogate-Key: prices\r\n\r\nhello"
)


@pytest.mark.parametrize(
    ("wish", "left"),
    [
        ({"url": "http://a/one"}, {"/two"}),
        ({"prefix": "http://a/t"}, {"/one"}),
        ({"tag": "prices"}, set()),
        ({"all": True}, set()),
        ({"all": True, "store": "default"}, set()),
        ({"all": True, "store": "other"}, {"/one", "/two"}),
        ({"tag": "other"}, {"/one", "/two"}),
    ],
)
async def test_what_was_purged_is_asked_for_again(wish: dict[str, Any], left: set[str]) -> None:
    async with Recorder(ANSWER) as origin:
        config = upstream(origin)
        config["route"][0]["plugin"] = [{"use": "cache"}]
        async with api_served(**config) as (api, gateway):
            for path in ("/one", "/two", "/one", "/two"):
                assert await body_of(gateway, path) == (200, b"hello")
            assert len(origin.requests) == 2
            [cache] = (await api.get("/caches")).json()["caches"]
            assert cache["store"] == "default"
            assert (await api.post("/caches/purge", json=wish)).status_code == 200
            for path in ("/one", "/two"):
                await body_of(gateway, path)
            assert len(origin.requests) == 4 - len(left)


@pytest.mark.parametrize("wish", [{}, {"url": "http://a/", "tag": "b"}, {"uri": "http://a/"}, {"url": ""}])
async def test_a_purge_of_nothing_is_refused(wish: dict[str, str]) -> None:
    async with api_served() as (api, _):
        assert (await api.post("/caches/purge", json=wish)).status_code == 422
