"""`agora log erase LOG SUBJECT`: erase a person's data by dropping the key that it was sealed under."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.commands.log_place import LogPlace, confirm, open_store
from gateway.terminal import print_line

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def erase(
    place: LogPlace,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Name that the data was sealed for.")],
    yes: Yes = False,
) -> None:
    """Erase what was sealed for SUBJECT, for good: its key goes, it gets no other. The log may be in use."""
    from core.event_log.subjects import Subjects

    with open_store(place, write=True) as store:
        subjects = Subjects(store)
        if subjects.erased_at(subject) is None:
            confirm(f"Erase everything that was sealed for {subject!r}? It cannot be read again.", yes)
        if subjects.erase(subject):
            print_line("erased: what was sealed for this subject is not read again", "green")
            print_line(
                "The key's bytes stay in the file until their page is used again, and in older backups; "
                "`agora log backup` leaves them out."
            )
        else:
            print_line("there was no key for this subject; it gets none from now on")
