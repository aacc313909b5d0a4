"""The root of the commands of a Decider, and of their refusals.

The rule it guards: a command is held to its struct before it is decided, whoever made it, and a mistake is
told with the field's name. Domains with commands of their own kind (engines that are joined in gateway/) need
only an `id`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

CommandId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}$(?!\n)", description="1 to 128 of A-Z a-z 0-9 _ . : @ -"
    ),
]


class Command(
    msgspec.Struct,
    frozen=True,
    tag=True,
    tag_field="type",
    kw_only=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """Be asked for: subclass it with the fields that the decision needs.

    id: names the command; asked twice, it is done once and answered alike
    """

    id: CommandId
