"""The three ways to write a configuration: TOML, YAML and JSON, parsed to the same plain data.

A parser takes text and the file's name, and raises ConfigInvalid with line and column. A key that is
there twice is an error in every format: the last one never wins in silence. `gateway/config.py` picks by
the file's ending.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

from core.decode import ConfigInvalid, ConfigProblem


def parse_toml(text: str, file: str) -> Any:
    """Parse TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        wrong, _, place = str(error).partition(" (at ")
        numbers = [int(number) for number in re.findall(r"\d+", place)]
        line, column = numbers if len(numbers) == 2 else (text.count("\n") + 1, 0)  # "(at end of document)"
        raise _refusal(file, "TOML", wrong, line, column) from error


def parse_yaml(text: str, file: str) -> Any:
    """Parse YAML safely: no tags that build objects, no key twice, no key but strings."""
    import yaml  # NOTE: here, so that commands on other formats start without it

    from gateway.yaml_loader import StrictLoader

    try:
        document = yaml.load(text, StrictLoader)  # noqa: S506 - it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        wrong = ", ".join(part for part in (error.context, error.problem) if part)
        raise _refusal(
            file, "YAML", wrong, mark.line + 1 if mark else 0, mark.column + 1 if mark else 0
        ) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        raise _refusal(
            file, "YAML", f"the character {chr(error.character)!r} may not stand here", line, 0
        ) from error
    return {} if document is None else document


def parse_json(text: str, file: str) -> Any:
    """Parse JSON."""

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise _refusal(file, "JSON", f"the key {twice!r} is there twice in one object", 0, 0)
        return made

    def constant(name: str) -> Any:
        raise _refusal(file, "JSON", f"the number {name} is not part of it", 0, 0)

    try:
        return json.loads(text, object_pairs_hook=table, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise _refusal(file, "JSON", error.msg, error.lineno, error.colno) from error


def _refusal(file: str, language: str, wrong: str, line: int, column: int) -> ConfigInvalid:
    if wrong[1:2].islower():
        wrong = wrong[0].lower() + wrong[1:]
    words = f"is not {language}: {wrong}"
    return ConfigInvalid([ConfigProblem(file, "", words, line=line, column=column)])


PARSERS: dict[str, Callable[[str, str], Any]] = {
    ".toml": parse_toml,
    ".yaml": parse_yaml,
    ".yml": parse_yaml,
    ".json": parse_json,
}
