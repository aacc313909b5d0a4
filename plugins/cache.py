"""The cache plugin: answer again what was answered before."""

from __future__ import annotations

import re
from collections.abc import Coroutine
from typing import Annotated
from urllib.parse import urljoin, urlsplit

from msgspec import Meta

from core._fast.cache_gate import CacheGate, cache_key, end_to_end, may_be_kept, public_url, replace_answer
from core.cache.answer import answer_from
from core.cache.conditions import CONDITIONAL, Conditions
from core.cache.entry import Entry, Pairs
from core.cache.flight import Flight, Outcome
from core.cache.freshness import (
    ERRORS,
    Rules,
    Verdict,
    is_useful,
    judge,
    keep,
    read_answer,
    read_request,
    stands_in,
    why_not_kept,
)
from core.cache.http_cache import http_cache
from core.cache.http_date import read_date, write_date
from core.cache.turn import Turn
from core.exchange import Exchange, Headers, Response
from core.plugin import Plugin, PluginConfig
from core.secret import Secret
from core.site import Site
from core.table import Name
from core.units import Duration, Size

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY"})
WAITED_FOR = frozenset({"uri-miss", "vary-miss", "stale"})
TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*")
Answer = Response | None
Decision = Answer | Coroutine[object, object, Answer]


class Cache(CacheGate, Plugin):
    """Keep answers as a shared cache (RFC 9111), and give them again while they are good.

    What may be kept, and for how long, is the target's to say: in CDN-Cache-Control, Cache-Control, Expires
    and Vary. What sets cookies is never kept; what was asked for with credentials, only where the answer
    allows it. An unsafe request that succeeds lets go of what is kept of its URL. Put the plugin last: what
    plugins before it do to answers is done to those from the cache too, and who they refuse gets none. Each
    worker keeps its own answers in memory; a reload keeps them. Redis shares them, and lets purges reach all.
    """

    class Config(PluginConfig, frozen=True):
        """Options of cache."""

        unmarked: Annotated[
            bool, Meta(description="also keep answers that do not say for how long they are good")
        ] = False
        lifetime: Annotated[Duration, Meta(description="for how long those are taken to be good")] = Duration(
            "5m"
        )
        heuristic: Annotated[
            float,
            Meta(
                ge=0,
                le=1,
                description="share of the time since Last-Modified that they are good for; 0: none",
            ),
        ] = 0.1
        stale_while_revalidate: Annotated[
            Duration,
            Meta(description="how long after its time an answer is given while one request asks the target"),
        ] = Duration(0)
        stale_if_error: Annotated[
            Duration, Meta(description="how long after its time it is given in the place of an error")
        ] = Duration(0)
        obey_clients: Annotated[
            bool, Meta(description="heed Cache-Control and Pragma of requests; else clients cannot pass by")
        ] = True
        collapse_wait: Annotated[
            Duration,
            Meta(description="how long requests wait for the first one for the same thing; 0: they do not"),
        ] = Duration("5s")
        max_body: Annotated[Size, Meta(description="bytes of the largest body that is kept")] = Size("1MiB")
        memory: Annotated[
            Size, Meta(description="bytes of all that a worker keeps; the last one given counts")
        ] = Size("64MiB")
        store: Annotated[Name, Meta(description="name of the memory, which routes share")] = "default"
        redis: Annotated[
            Secret | None,
            Meta(description="URL of a Redis that workers and machines share; left out: none"),
        ] = None
        redis_timeout: Annotated[
            Duration, Meta(description="how long Redis may take; what takes longer is not there")
        ] = Duration("250ms")
        cache_status: Annotated[bool, Meta(description="tell what was done in Cache-Status (RFC 9211)")] = (
            True
        )

    def __init__(self, config: Config, site: Site) -> None:
        redis_url = None if config.redis is None else config.redis.reveal()
        self.cache = http_cache(
            site.shared, config.store, int(config.memory), redis_url, float(config.redis_timeout)
        )
        self.rules = Rules(
            unmarked=float(config.lifetime) if config.unmarked else 0,
            heuristic=config.heuristic,
            stale_while_revalidate=float(config.stale_while_revalidate),
            stale_if_error=float(config.stale_if_error),
        )
        self.obeys = config.obey_clients
        self.patience = float(config.collapse_wait)
        self.max_body = int(config.max_body)
        self.name = site.name if TOKEN.fullmatch(site.name) else f'"{site.name}"'
        self.tells = config.cache_status
        self.counts = {
            result: site.metrics.counter(
                "agora_cache_requests_total",
                "Requests by what the cache did.",
                {"route": site.route or "everywhere", "result": result},
            )
            for result in ("hit", "stale", "miss", "pass")
        }
        wording = self.name.encode() if config.cache_status else None
        super().__init__(self.cache.store.items, self.cache, self.counts["hit"], wording)

    async def open(self) -> None:
        """Begin to use what is shared."""
        await self.cache.open()

    async def close(self) -> None:
        """End the use of it."""
        await self.cache.close()

    # -- the request -------------------------------------------------------------------------------

    def decide(self, exchange: Exchange) -> Decision:
        """Answer, wait for who asks already, or let the request go to the target."""
        request = exchange.request
        turn = Turn(request.method, public_url(exchange), "method", self.cache.now())
        if turn.method not in ("GET", "HEAD"):
            return self._forward(exchange, turn)
        turn.conditions = Conditions.of(request.headers)
        if turn.conditions.of_the_server or not may_be_kept(exchange):
            turn.forward = "bypass"
            return self._forward(exchange, turn)
        turn.headers = Headers(request.headers.items())
        turn.directives = read_request(request.headers.get_all) if self.obeys else {}
        turn.credentials = exchange.consumer is not None or b"authorization" in request.headers
        turn.cookies = b"cookie" in request.headers
        turn.base_key = cache_key(exchange)
        if (
            self.cache.redis is not None
            and self.cache.find(self.cache.variant(turn.base_key, turn.headers)) is None
        ):
            return self._fetch(exchange, turn)
        return self._look(exchange, turn, 0)

    async def _fetch(self, exchange: Exchange, turn: Turn) -> Answer:
        """Look into what is shared first."""
        await self.cache.fetch(turn.base_key, turn.headers)
        decision = self._look(exchange, turn, 0)
        return await decision if isinstance(decision, Coroutine) else decision

    def _look(self, exchange: Exchange, turn: Turn, waits: int) -> Decision:
        """Answer from what is kept, or say why not; waits: how often the request has waited."""
        turn.key = self.cache.variant(turn.base_key, turn.headers)
        turn.entry = entry = self.cache.find(turn.key)
        why = "uri-miss" if turn.key == turn.base_key else "vary-miss"
        if entry is not None and not entry.is_for(credentials=turn.credentials, cookies=turn.cookies):
            turn.entry, why = None, "bypass"
        elif entry is not None:
            now = self.cache.now()
            verdict = judge(entry.kept, turn.directives, now)
            if verdict is Verdict.MEANWHILE and turn.key in self.cache.flights:
                verdict = Verdict.STALE
            if verdict in (Verdict.FRESH, Verdict.STALE):
                return self._answer(entry, turn, verdict, now)
            why = "request" if now < entry.fresh_until else "stale"
        turn.forward = why
        if "only-if-cached" in turn.directives:
            return Response.refusal(504, "not-cached", "There is no answer in the cache")
        if waits < 2 and self._is_shared(turn):
            flight = self.cache.flights.get(turn.key)
            if flight is not None and self.patience:
                return self._follow(exchange, turn, flight, waits + 1)
            if flight is None and turn.method == "GET":
                turn.flight = self.cache.flights[turn.key] = Flight()
        return self._forward(exchange, turn)

    def _is_shared(self, turn: Turn) -> bool:
        """Tell whether what a request gets is likely to do for others."""
        return (
            turn.forward in WAITED_FOR
            and not (turn.credentials or turn.conditions or "no-store" in turn.directives)
            and not (turn.entry is not None and turn.entry.kept.no_cache)
            and not self.cache.is_uncertain(turn.key, turn.asked)
        )

    async def _follow(self, exchange: Exchange, turn: Turn, flight: Flight, waits: int) -> Answer:
        """Wait for who asks already."""
        outcome = await flight.wait(self.patience)
        turn.collapsed = outcome is Outcome.KEPT
        if outcome is Outcome.LEAD:
            turn.flight = flight
        if outcome is not Outcome.KEPT:
            return self._forward(exchange, turn)
        decision = self._look(exchange, turn, waits)
        return await decision if isinstance(decision, Coroutine) else decision

    def _answer(self, entry: Entry, turn: Turn, verdict: Verdict, now: float) -> Response:
        self.counts["hit" if verdict is Verdict.FRESH else "stale"].add()
        left = int(entry.fresh_until - now)
        if turn.collapsed:
            said = self._said("fwd=" + turn.forward, "collapsed")
        else:
            said = self._said("hit", f"ttl={left}")
        return answer_from(entry, turn.conditions, turn.method, now, said)

    def _forward(self, exchange: Exchange, turn: Turn) -> Answer:
        """Let the target be asked, about what is kept if there is something."""
        exchange.state[self] = turn
        turn.asked = self.cache.now()
        self.counts["miss" if turn.forward in WAITED_FOR else "pass"].add()
        if turn.base_key:
            self.cache.turns.add(turn)
        entry, headers = turn.entry, exchange.request.headers
        if entry is None or not (entry.etag or entry.last_modified):
            return None
        for name in CONDITIONAL:
            headers.remove(name)
        turn.confirms = True
        if entry.etag:
            headers.set(b"if-none-match", entry.etag)
        if entry.last_modified:
            headers.set(b"if-modified-since", entry.last_modified)
        return None

    # -- the answer --------------------------------------------------------------------------------

    def answered(self, exchange: Exchange, turn: Turn) -> None:
        """Keep the answer, or put what is kept in its place."""
        response, now = exchange.response, self.cache.now()
        from_target = exchange.target_elapsed is not None
        said = [f"fwd={turn.forward}"]
        if from_target:
            said.append(f"fwd-status={response.status}")
        if turn.method not in SAFE:
            self._invalidate(turn, response)
        elif turn.entry is not None and self._stands(exchange, turn, turn.entry, said, now):
            return
        elif from_target and turn.base_key and self._collect(turn, response, now):
            said.append("stored")
        else:
            if from_target and turn.flight is not None and response.status not in ERRORS:
                self.cache.note_not_kept(turn.key)
            self.cache.land(turn, Outcome.ALONE)
        if turn.collapsed is False:
            said.append("collapsed=?0")
        if self.tells:
            response.headers.add(b"cache-status", self._said(*said))

    def _stands(self, exchange: Exchange, turn: Turn, entry: Entry, said: list[str], now: float) -> bool:
        """Answer with what is kept, if the target has confirmed it, or if it may stand in for an error."""
        response = exchange.response
        if turn.confirms and response.status == 304:
            headers = dated(end_to_end(response.headers), now)
            entry = self._confirmed(entry, turn, headers, now)
            self.cache.land(turn, Outcome.KEPT if now < entry.fresh_until else Outcome.ALONE)
        elif response.status in ERRORS and stands_in(entry.kept, turn.directives, now):
            said.append("detail=stale-if-error")
            self.counts["stale"].add()
            self.cache.land(turn, Outcome.ALONE)
        else:
            return False
        replace_answer(exchange, answer_from(entry, turn.conditions, turn.method, now, self._said(*said)))
        return True

    def _confirmed(self, entry: Entry, turn: Turn, headers: Pairs, now: float) -> Entry:
        renewed = entry.renewed(headers, entry.kept)
        fields = Headers([*renewed.headers, *((n, v) for n, v in headers if n.lower() == b"age")])
        said = read_answer(entry.status, fields.get_all)
        renewed = renewed.renewed([], keep(said, self.rules, asked=turn.asked, received=now))
        if why_not_kept("GET", {}, said):
            self.cache.invalidate([entry.url.decode("latin-1")])
        else:
            self.cache.renew(renewed)
        return renewed

    def _collect(self, turn: Turn, response: Response, now: float) -> bool:
        """Begin to collect the answer, if it may be kept; tell so."""
        headers = response.headers
        said = read_answer(response.status, headers.get_all)
        length = headers.get(b"content-length", b"0")
        if (
            turn.method != "GET"
            or (turn.conditions and not turn.confirms)
            or why_not_kept(
                turn.method, turn.directives, said, credentials=turn.credentials, cookies=turn.cookies
            )
            or (length.isdigit() and int(length[:18]) > self.max_body)
        ):
            return False
        kept = keep(said, self.rules, asked=turn.asked, received=now)
        if not is_useful(kept, said, now):
            return False
        vary = {name.strip().lower() for value in headers.get_all(b"vary") for name in value.split(b",")}
        fields = [(n, v) for n, v in dated(end_to_end(headers), now) if n.lower() != b"age"]
        turn.collect(response.status, fields, sorted(vary - {b""}), kept, self.max_body)
        return True

    def _invalidate(self, turn: Turn, response: Response) -> None:
        """Let go of what an unsafe request has changed (RFC 9111 section 4.4)."""
        if not 200 <= response.status < 400:
            return
        url = turn.url.decode("latin-1")
        concerned = {url}
        for name in (b"location", b"content-location"):
            if (place := response.headers.get(name)) is not None:
                other = urljoin(url, place.decode("latin-1"))
                if urlsplit(other).netloc == urlsplit(url).netloc:
                    concerned.add(other)
        self.cache.invalidate(concerned)

    def taken(self, turn: Turn, piece: bytes, last: bool) -> None:
        """Collect a piece of an answer's body, and keep the whole."""
        if turn.pieces is None:
            return
        if not turn.take(piece):
            self.cache.note_not_kept(turn.key)
            self.cache.land(turn, Outcome.ALONE)
        elif last:
            entry = self.cache.keep(turn, b"".join(turn.pieces))
            turn.pieces = None
            good = entry is not None and self.cache.now() < entry.fresh_until
            self.cache.land(turn, Outcome.KEPT if good else Outcome.ALONE)

    def ended(self, exchange: Exchange, turn: Turn) -> None:
        """Release who waits, whatever happened."""
        self.cache.turns.discard(turn)
        self.cache.land(turn, Outcome.LEAD if exchange.problem == "client-gone" else Outcome.ALONE)

    def _said(self, *parts: str) -> bytes:
        return "; ".join((self.name, *parts)).encode() if self.tells else b""


def dated(fields: Pairs, now: float) -> Pairs:
    """Return an answer's fields with a date, if only that of its coming (RFC 9110 section 6.6.1)."""
    if any(name.lower() == b"date" and read_date(value) is not None for name, value in fields):
        return fields
    return [*((name, value) for name, value in fields if name.lower() != b"date"), (b"date", write_date(now))]
