"""JSON Schemas, compiled: what is wrong with a document, as a bounded list.

The rules it guards: a schema is understood when it is read or refused; nothing outside of it is ever
fetched; a document takes a bounded time, whatever is wrong with it and whatever the schema's patterns are.
The validate plugin calls it, and core/openapi for the schemas of an API's description.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

import jsonschema_rs

from core.decode import FieldInvalid
from core.json_body import pointer_to

DOCUMENT = "urn:agora:document"  # what schemas inside a larger document are resolved in
# NOTE: patterns without look-around take linear time; the others give up after so many steps, and a text
# that makes them do so does not match.
PATTERNS = jsonschema_rs.FancyRegexOptions(backtrack_limit=10_000)
# NOTE: all errors are found before the first can be looked at, 3 microseconds each. Beyond this size of a
# document, only the first is looked for.
LISTED = 4096  # bytes
LONGEST = 200  # characters of a message

Drafts = type[jsonschema_rs.Validator]
NEWEST: Drafts = jsonschema_rs.Draft202012Validator


@dataclass(frozen=True, slots=True)
class Violation:
    """Be one thing that is wrong with a document."""

    pointer: str  # JSON pointer to where it is
    detail: str


class Schema:
    """Check documents against one schema."""

    def __init__(
        self,
        schema: dict[str, Any] | bool,
        *,
        draft: Drafts | None = None,
        within: jsonschema_rs.Registry | None = None,
    ) -> None:
        """Compile a schema; raise FieldInvalid.

        draft:  None: the one that the schema names by ``$schema``, or the newest
        within: the larger document that its ``$ref`` lead to, by DOCUMENT
        """
        try:
            self._validator = (draft or jsonschema_rs.validator_cls_for(schema))(
                schema,
                registry=within,
                offline=True,
                validate_formats=True,
                pattern_options=PATTERNS,
                mask="the value",  # messages go to logs, and documents may be large or private
            )
        except jsonschema_rs.ValidationError as error:
            place = pointer_to(error.instance_path)
            raise FieldInvalid(
                f"is no JSON Schema{f' at {place}' if place else ''}: {error.message}",
                "a $ref leads to a place in the same document, such as #/$defs/name; nothing is fetched",
            ) from None
        except (jsonschema_rs.ReferencingError, ValueError, TypeError) as error:
            raise FieldInvalid(f"is no JSON Schema: {error}") from None

    def violations(self, document: Any, size: int, most: int) -> list[Violation]:
        """Return what is wrong with a document of so many bytes, at most so many things; empty: nothing."""
        validator = self._validator
        if validator.is_valid(document):
            return []
        if size > LISTED or most == 1:
            try:
                validator.validate(document)
            except jsonschema_rs.ValidationError as error:
                return [_violation(error)]
        return [_violation(error) for error in islice(validator.iter_errors(document), most)]


def _violation(error: jsonschema_rs.ValidationError) -> Violation:
    message = error.message
    if len(message) > LONGEST:
        message = message[: LONGEST - 3] + "..."
    return Violation(pointer_to(error.instance_path)[:LONGEST], message)
