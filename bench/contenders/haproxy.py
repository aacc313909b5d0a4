"""HAProxy as a contender: one thread, connections to the server shared and kept.

Called by the list of contenders.
"""

from pathlib import Path

from bench.binaries import find_binary
from bench.contenders.contender import BODY, UPSTREAM_CONNECTIONS, Contender, Scenario

CONFIG = """
global
    nbthread 1
    maxconn 9000
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
    option http-keep-alive
frontend gateway
    bind 127.0.0.1:{port} backlog 4096
    {action}
"""
BACKEND = """
backend upstream
    http-reuse always
    server one 127.0.0.1:{upstream} pool-max-conn {connections} pool-purge-delay 1h
"""
# NOTE: inside HAProxy's double quotes only " \\ and $ are special, and % in a log-format string.
FIXED = 'http-request return status 200 content-type application/json string "{body}"'


class HAProxy(Contender):
    """HAProxy; it plays no `plugins` scenario.

    Nor `idle`: it reserves two descriptors for each of `maxconn`, more than the usual hard limit allows.
    """

    name = "haproxy"
    binaries = ("haproxy",)
    scenarios = frozenset({Scenario.PROXIED, Scenario.FIXED, Scenario.LARGE_BODY})

    def command(self, scenario: Scenario, directory: Path, port: int, upstream: int) -> list[str]:
        """Return the argv of HAProxy for the scenario."""
        config = directory / "haproxy.cfg"
        if scenario is Scenario.FIXED:
            body = BODY.decode().replace('"', '\\"')
            config.write_text(CONFIG.format(port=port, action=FIXED.format(body=body)))
        else:
            backend = BACKEND.format(upstream=upstream, connections=UPSTREAM_CONNECTIONS)
            config.write_text(CONFIG.format(port=port, action="default_backend upstream") + backend)
        return [find_binary("haproxy"), "-db", "-f", str(config)]

    def version(self) -> str:
        """Return the version as HAProxy prints it."""
        return self.first_line([find_binary("haproxy"), "-v"])
