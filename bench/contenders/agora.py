"""Agora as a contender: `agora serve FILE` with one worker. Called by the list of contenders."""

import json
import shutil
import sys
from pathlib import Path

from bench.binaries import BinaryMissing
from bench.contenders.contender import BODY, Contender, Scenario

SERVER = """
[server]
listen = "127.0.0.1:{port}"
workers = 1
data_dir = "{directory}/var"
"""
UPSTREAM = """
[[upstream]]
name = "markets"
targets = ["http://127.0.0.1:{upstream}"]
"""
PROXIED = """
[[route]]
name = "market"
path = "/markets/{id}"
upstream = "markets"
"""
LARGE_BODY = """
[[route]]
name = "everything"
path = "/{rest:path}"
upstream = "markets"
"""
# NOTE: a million a second for one address is never reached, so every request pays for an admission.
PLUGINS = """
[[plugin]]
use = "request-id"
[[plugin]]
use = "trace"
[[plugin]]
use = "rate-limit"
limit = ["1000000/second"]
by = "ip"
[[plugin]]
use = "request-log"
"""
FIXED = """
[[route]]
name = "market"
path = "/markets/{id}"
respond = { status = 200, headers = { content-type = "application/json" }, body = %s }
"""


def agora_config(scenario: Scenario, directory: Path, port: int, upstream: int) -> str:
    """Return the configuration file of the scenario; metrics are always on."""
    server = SERVER.format(port=port, directory=directory)
    if scenario is Scenario.FIXED:
        # A JSON string of ASCII characters is also a TOML basic string.
        return server + FIXED % json.dumps(BODY.decode())
    proxied = server + UPSTREAM.format(upstream=upstream)
    if scenario is Scenario.LARGE_BODY:
        return proxied + LARGE_BODY
    return proxied + PROXIED + (PLUGINS if scenario is Scenario.PLUGINS else "")


def find_agora() -> str:
    """Return the `agora` command of this Python environment, or else of the PATH."""
    path = shutil.which("agora", path=str(Path(sys.executable).parent)) or shutil.which("agora")
    if path is None:
        raise BinaryMissing("agora is not installed here; run `make setup`")
    return path


class Agora(Contender):
    """Agora's native door."""

    name = "agora"
    ready_path = "/healthz"

    def command(self, scenario: Scenario, directory: Path, port: int, upstream: int) -> list[str]:
        """Return the argv of Agora for the scenario."""
        config = directory / "agora.toml"
        config.write_text(agora_config(scenario, directory, port, upstream))
        return [find_agora(), "serve", str(config)]

    def version(self) -> str:
        """Return the version as Agora prints it."""
        import importlib.metadata

        return f"agora {importlib.metadata.version('agora')}"
