"""The contenders, in the order of the tables. A new one is one file and one line here."""

from bench.contenders.agora import Agora
from bench.contenders.aiohttp_proxy import AiohttpProxy
from bench.contenders.contender import BODY, PATH, TRAFFIC, Contender, Scenario
from bench.contenders.envoy import Envoy
from bench.contenders.haproxy import HAProxy
from bench.contenders.nginx import Nginx
from bench.contenders.starlette_httpx import StarletteHttpx

CONTENDERS: tuple[Contender, ...] = (Agora(), Nginx(), HAProxy(), Envoy(), AiohttpProxy(), StarletteHttpx())

__all__ = ["BODY", "CONTENDERS", "PATH", "TRAFFIC", "Contender", "Scenario"]
