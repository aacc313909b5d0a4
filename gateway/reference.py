"""The published reference, made from the structs: docs/agora.schema.json, tables in docs/configuration.md.

`python -m gateway.reference` writes both anew; a test fails while they say something else than the structs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec

from core.config import (
    AdminConfig,
    ConsumerConfig,
    LimitsConfig,
    RespondConfig,
    RouteConfig,
    ServerConfig,
    ServerTlsConfig,
    SniConfig,
    TimeoutsConfig,
)
from core.describe import field_docs
from core.plugin import Plugin
from core.plugins import builtin_plugins
from core.upstream_config import EjectConfig, HealthConfig, TargetConfig, UpstreamConfig, UpstreamTlsConfig
from gateway.plugin_view import plugin_view
from gateway.schema import config_schema

DOCS = Path(__file__).parent.parent / "docs"
SCHEMA = DOCS / "agora.schema.json"
PAGE = DOCS / "configuration.md"
TABLES: dict[str, type[msgspec.Struct]] = {
    "[server]": ServerConfig,
    "[server.timeouts]": TimeoutsConfig,
    "[server.limits]": LimitsConfig,
    "[server.tls]": ServerTlsConfig,
    "[[server.tls.sni]]": SniConfig,
    "[admin]": AdminConfig,
    "[[upstream]]": UpstreamConfig,
    "[[upstream.targets]]": TargetConfig,
    "[upstream.eject]": EjectConfig,
    "[upstream.health]": HealthConfig,
    "[upstream.tls]": UpstreamTlsConfig,
    "[[route]]": RouteConfig,
    "[route.respond]": RespondConfig,
    "[[consumer]]": ConsumerConfig,
}
REGION = re.compile(r"(?<=<!-- made by `python -m gateway.reference` -->\n).*(?=<!-- end -->)", re.DOTALL)


def schema_text() -> str:
    """Return the published JSON Schema: the built-in plugins are in it."""
    plugins = {use: cast(type[Plugin], plugin) for use, plugin in builtin_plugins().items()}
    return json.dumps(config_schema(plugins), indent=2, ensure_ascii=False) + "\n"


def page_text(page: str) -> str:
    """Return the page with its tables made anew."""
    return REGION.sub(lambda _: "\n" + "\n".join(_sections()) + "\n", page)


def _sections() -> Iterator[str]:
    for heading, struct in TABLES.items():
        summary = (struct.__doc__ or "").strip().partition("\n")[0]
        rows = [
            (doc.name, doc.words, "required" if doc.required else doc.default_text, doc.description)
            for doc in field_docs(struct).values()
        ]
        yield from _section(f"`{heading}`", summary, rows)
    for use, plugin in builtin_plugins().items():
        view = plugin_view(use, plugin)
        rows = [
            (option.name, option.type, "required" if option.required else option.default, option.description)
            for option in view.options
        ]
        yield from _section(f"Plugin `{use}`", f"{view.summary} Acts at: {', '.join(view.phases)}.", rows)


def _section(heading: str, summary: str, rows: list[tuple[str, str, str, str]]) -> Iterator[str]:
    yield from (f"### {heading}", "", summary, "")
    if rows:
        yield from ("| key | type | default | what it is for |", "|---|---|---|---|")
    for name, kind, default, purpose in rows:
        code = default if default in ("", "required") else f"`{default}`"
        yield f"| `{name}` | {_cell(kind)} | {_cell(code)} | {_cell(purpose)} |"
    if rows:
        yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*") if "`" not in text else text.replace("|", "\\|")


def main() -> None:
    """Write both files."""
    SCHEMA.write_text(schema_text())
    PAGE.write_text(page_text(PAGE.read_text()))


if __name__ == "__main__":
    main()
