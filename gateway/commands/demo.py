"""`agora demo [URL]`: fill the market of a running gateway with traders, and see that no money is lost."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.commands.arguments import AsJson

ADDRESS = "http://127.0.0.1:8000/market"


def demo(
    url: Annotated[
        str, typer.Argument(metavar="[URL]", help=f"Where the market is; {ADDRESS} if not given.")
    ] = ADDRESS,
    seed: Annotated[int, typer.Option(help="Of all that is left to chance.")] = 1,
    traders: Annotated[int, typer.Option(min=2, max=100_000, help="How many trade.")] = 50,
    markets: Annotated[int, typer.Option(min=1, max=1_000, help="How many questions are open.")] = 4,
    orders: Annotated[
        int, typer.Option("--orders", "-n", min=1, help="How many are placed or cancelled in all.")
    ] = 5_000,
    rate: Annotated[float, typer.Option(min=0, help="Orders a second; 0: as fast as they are answered.")] = 0,
    connections: Annotated[
        int, typer.Option("--connections", "-c", min=1, max=10_000, help="Open at the same time.")
    ] = 16,
    name: Annotated[
        str, typer.Option(help="Begins the names of users and markets; a new one if not given.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Let traders with beliefs trade over HTTP: limit, immediate, fill-or-kill and post-only orders.

    Each brings money; then the markets close, are answered and pay out. At the end every cent is accounted
    for, or the command fails.
    """
    import asyncio

    import msgspec

    from gateway.demo.connection import Address
    from gateway.demo.display import display, show_outcome
    from gateway.demo.simulation import Plan, Simulation, new_name
    from gateway.terminal import print_json

    plan = Plan(
        seed=seed,
        traders=traders,
        markets=markets,
        orders=orders,
        rate=rate,
        connections=connections,
        name=name or new_name(),
    )
    with display(quiet=as_json) as report:
        outcome = asyncio.run(Simulation(Address.parse(url), plan, report).run())
    if as_json:
        print_json(msgspec.to_builtins(outcome))
    else:
        show_outcome(outcome)
    if not outcome.money.holds:
        raise typer.Exit(1)
