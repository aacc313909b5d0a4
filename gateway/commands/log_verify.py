"""`agora log verify LOG`: check everything that a log's file holds, and say what is wrong."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from gateway.commands.arguments import AsJson
from gateway.commands.log_place import LogPlace, log_directory
from gateway.progress import progress
from gateway.terminal import print_error, print_json, print_line

if TYPE_CHECKING:
    from core.event_log.verification import Verdict


def verify(place: LogPlace, as_json: AsJson = False) -> None:
    """Check every record, index entry and page, each against the others. The log may be in use."""
    from core.event_log.verification import verify

    with progress("verifying") as report:
        verdict = verify(log_directory(place), report)
    if as_json:
        print_json(_document(verdict))
    else:
        for finding in verdict.findings:
            print_error(str(finding))
        if verdict.sound:
            print_line(describe(verdict), "green")
    if not verdict.sound:
        if not as_json:
            print_error(f"the log is damaged: {len(verdict.findings)} findings, {describe(verdict)}")
        raise typer.Exit(1)


def describe(verdict: Verdict) -> str:
    """Return in words what was checked."""
    free = verdict.free_pages * verdict.page_size
    rate = f", {verdict.events / verdict.seconds:,.0f} events/s" if sys.stdout.isatty() else ""
    return (
        f"{verdict.events} events in {verdict.segments} segment{'s' * (verdict.segments != 1)} are sound; "
        f"{verdict.entries} entries, {verdict.pages} pages; "
        f"not covered: {free} bytes free, {verdict.slack} between entries{rate}"
    )


def _document(verdict: Verdict) -> dict[str, object]:
    return {
        "sound": verdict.sound,
        "findings": [{"where": finding.where, "what": finding.what} for finding in verdict.findings],
        "events": verdict.events,
        "entries": verdict.entries,
        "segments": verdict.segments,
        "pages": verdict.pages,
        "page_size": verdict.page_size,
        "free_pages": verdict.free_pages,
        "slack_bytes": verdict.slack,
        "transaction": verdict.snapshot,
        "seconds": round(verdict.seconds, 6),
    }
