"""A kind of text that a pattern describes: one value of an option, checked where it is decoded.

The rule it guards: the pattern that a value is held to is the one in the published schema. Options whose text
has a form of its own derive from it.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self

from core.decode import Decoder, FieldInvalid
from core.describe import describe_value


class PatternText(str):
    """Be a text of one form.

    pattern: of the whole text, as JSON Schema and Python read it
    wrong:   what a text of another form is, such as "is no origin"
    right:   what to write
    """

    __slots__ = ()
    noun: ClassVar[str]
    pattern: ClassVar[str]
    examples: ClassVar[tuple[str, ...]] = ()
    wrong: ClassVar[str]
    right: ClassVar[str]
    json_schema: ClassVar[dict[str, Any]]

    def __init_subclass__(cls) -> None:
        cls.json_schema = {"type": "string", "pattern": cls.pattern, "examples": list(cls.examples)}

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a text; raise FieldInvalid."""
        if not isinstance(value, str) or not re.fullmatch(cls.pattern, value):
            raise FieldInvalid(f"{cls.wrong}: {describe_value(value)}", cls.right)
        return cls(value)
