"""nginx as a contender: one worker, keep-alive to the upstream; also the base configuration of the
upstream.

Called by the list of contenders and by bench.upstream.
"""

import os
from pathlib import Path

from bench.binaries import find_binary
from bench.contenders.contender import BODY, UPSTREAM_CONNECTIONS, Contender, Scenario

# NOTE: keepalive_requests is 1000 by default; reconnecting would be measured with the rest.
CONFIG = """
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    {http}
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    tcp_nodelay on;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            {location}
        }}
    }}
}}
"""

UPSTREAM_BLOCK = f"""
    upstream backend {{
        server 127.0.0.1:%d;
        keepalive {UPSTREAM_CONNECTIONS};
        keepalive_requests 1000000000;
    }}
"""
PROXY = """
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
"""
LARGE_BODY = """
            client_max_body_size 0;
            client_body_buffer_size 64k;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_buffer_size 64k;
            proxy_buffers 8 64k;
            proxy_busy_buffers_size 128k;
"""
PLUGINS_HTTP = """
    limit_req_zone $binary_remote_addr zone=by_ip:10m rate=1000000r/s;
    log_format bench '$remote_addr $request_id "$request" $status $body_bytes_sent $request_time';
    access_log access.log bench buffer=64k flush=1s;
"""
PLUGINS_LOCATION = """
            limit_req zone=by_ip burst=1000000 nodelay;
            proxy_set_header X-Request-Id $request_id;
"""
FIXED = f"""
            default_type application/json;
            return 200 '{BODY.decode()}';
"""


def nginx_command(directory: Path, port: int, http: str, location: str) -> list[str]:
    """Write nginx's configuration into `directory` and return the argv that serves it in the foreground."""
    # NOTE: started by root, workers would become nobody and could not enter the temporary directory.
    user = "user root;" if os.geteuid() == 0 else ""
    config = directory / "nginx.conf"
    config.write_text(CONFIG.format(user=user, port=port, http=http, location=location))
    return [find_binary("nginx"), "-p", str(directory), "-e", "stderr", "-c", str(config)]


class Nginx(Contender):
    """nginx; its `plugins` scenario is limit_req, a request id and a buffered access log."""

    name = "nginx"
    binaries = ("nginx",)

    def command(self, scenario: Scenario, directory: Path, port: int, upstream: int) -> list[str]:
        """Return the argv of nginx for the scenario."""
        block = UPSTREAM_BLOCK % upstream
        http, location = {
            Scenario.PROXIED: (block, PROXY),
            Scenario.PLUGINS: (block + PLUGINS_HTTP, PROXY + PLUGINS_LOCATION),
            Scenario.IDLE: (block, PROXY),
            Scenario.LARGE_BODY: (block, PROXY + LARGE_BODY),
            Scenario.FIXED: ("", FIXED),
        }[scenario]
        return nginx_command(directory, port, http, location)

    def version(self) -> str:
        """Return the version as nginx prints it."""
        return self.first_line([find_binary("nginx"), "-v"])
