"""`agora explain FILE METHOD URL`: show which route a request takes and why, and which plugins would act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.arguments import AsJson, ConfigFile, read_config
from gateway.terminal import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.explanation import Explanation

NO_ROUTE = 3  # exit code
MOST_NAMES = 5  # routes named in one line


def explain(
    file: ConfigFile,
    method: Annotated[str, typer.Argument(metavar="METHOD", help="Method, such as GET.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="URL, or its path alone.")],
    headers: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="Header of the request."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain what the gateway in FILE would do with a request. Nothing is sent."""
    from msgspec import to_builtins

    from gateway.explanation import RequestInvalid, explain_request

    try:
        explanation = explain_request(read_config(file), method, url, headers or [])
    except RequestInvalid as error:
        raise typer.BadParameter(str(error)) from None
    if as_json:
        print_json(to_builtins(explanation))
    else:
        print_table(("", "", "", ""), _rows(explanation))
    if explanation.route is None:
        raise typer.Exit(NO_ROUTE)


def _rows(explanation: Explanation) -> Iterator[tuple[str, ...]]:
    yield "request", f"{explanation.method} {explanation.path}", f"host {explanation.host}"
    if explanation.route:
        yield "route", explanation.route.route, explanation.route.path
        for name, value in explanation.parameters.items():
            yield "parameter", name, value
        yield "target", explanation.route.target
    else:
        yield "answer", str(explanation.status), explanation.reason
    for step in explanation.steps:
        names = ", ".join(step.routes[:MOST_NAMES])
        if len(step.routes) > MOST_NAMES:
            names += f" and {len(step.routes) - MOST_NAMES} more"
        yield ("matches" if step.matched else "tried"), step.pattern, f"{step.reason} ({step.host})", names
    for phase, plugins in explanation.phases.items():
        yield "phase", phase, ", ".join(plugins)
