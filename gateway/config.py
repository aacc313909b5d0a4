"""Read the configuration: alone in reading files and the environment, and only when asked to.

`load` reads a TOML, YAML or JSON file into `core.config.Config`. It raises `ConfigInvalid` with every
problem: of the file's syntax, of single values and of what only shows when tables are seen together
(gateway/config_rules.py). What is relative in the file is relative to the file: paths start in its
folder, and modules are found there too. `agora serve` and the other commands call it, and a reload.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from core.config import Config
from core.decode import ConfigInvalid, ConfigProblem, Decoder, FieldInvalid
from core.describe import describe_value
from gateway.config_rules import find_problems
from gateway.config_syntax import PARSERS

FILE_VARIABLE = "AGORA_CONFIG"
LARGEST_SECRET = 64 * 1024  # bytes of a file that holds a secret


def load(path: str | Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration in a file; raise ConfigInvalid with every problem found."""
    file = Path(path)
    parse = PARSERS.get(file.suffix.lower())
    if parse is None:
        right = f"name it *{', *'.join(PARSERS)}"
        raise ConfigInvalid([ConfigProblem(str(path), "", f"cannot tell the format of {file.name!r}", right)])
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigInvalid([ConfigProblem(str(path), "", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigInvalid(
            [ConfigProblem(str(path), "", "is not UTF-8", "save it as UTF-8", line=line)]
        ) from error
    try:
        return from_data(
            parse(text, str(path)), folder=file.absolute().parent, environ=environ, file=str(path)
        )
    except RecursionError:
        raise ConfigInvalid(
            [ConfigProblem(str(path), "", "is nested too deeply, or contains itself")]
        ) from None


def named_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file that AGORA_CONFIG names; raise ConfigInvalid if it names none."""
    if name := environ.get(FILE_VARIABLE):
        return Path(name)
    right = f"set {FILE_VARIABLE} to a configuration file, or call create_app(config)"
    raise ConfigInvalid([ConfigProblem("", FILE_VARIABLE, "is not set", right)])


def from_data(
    data: object, *, folder: Path | None = None, environ: Mapping[str, str] = os.environ, file: str = ""
) -> Config:
    """Return the configuration in plain data, such as a parsed file; raise ConfigInvalid with every problem.

    `folder` is where relative paths start and modules are looked for (default: the current folder).
    """
    folder = folder or Path.cwd()
    search_modules_in(folder, Path.cwd())
    if not isinstance(data, dict):
        raise ConfigInvalid([ConfigProblem(file, "", f"must be a table, not {describe_value(data)}")])
    data = {key: value for key, value in data.items() if key != "$schema"}  # a hint for editors
    decoder = Decoder(folder=folder, resolve=secret_resolver(folder, environ), file=file)
    config = decoder.decode(data, Config)
    server = msgspec.structs.replace(config.server, data_dir=folder / config.server.data_dir)
    config = msgspec.structs.replace(config, server=server)
    if problems := [msgspec.structs.replace(problem, file=file) for problem in find_problems(config)]:
        raise ConfigInvalid(problems)
    return config


def secret_resolver(folder: Path, environ: Mapping[str, str]) -> Callable[[str], str]:
    """Return the function that looks up `env:NAME` and `file:PATH`; it raises FieldInvalid."""

    def resolve(reference: str) -> str:
        source, _, name = reference.partition(":")
        value = _from_file(folder / name) if source == "file" else _from_environment(name, environ)
        if not value.isascii() or not value.isprintable():
            raise FieldInvalid(f"{reference!r} holds more than printable ASCII characters", "remove them")
        return value

    return resolve


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name, "")
    if not value:
        state = "is empty" if name in environ else "is not set"
        raise FieldInvalid(f"the environment variable {name!r} {state}", f"start with {name}=... set")
    return value


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_SECRET + 1)
    except OSError as error:
        raise FieldInvalid(f"the file {str(path)!r} cannot be read: {error.strerror}") from error
    if not content.strip() or len(content) > LARGEST_SECRET:
        state = "is empty" if not content.strip() else "is larger than 64KiB"
        raise FieldInvalid(f"the file {str(path)!r} {state}", "write the secret alone into it")
    return content.strip().decode("ascii", "replace")


def search_modules_in(*folders: Path) -> None:
    """Let `app` and `use` name modules in these folders, after all that is installed."""
    for folder in map(str, folders):
        if folder not in sys.path:
            sys.path.append(folder)
