"""docs/plugins.md tells the truth: every snippet runs, and every name in its tables is there."""

from __future__ import annotations

import hmac
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from core.decode import ConfigInvalid, Decoder
from core.exchange import Exchange, Headers, Request, Response
from core.plugin import PHASES
from core.plugins import ENTRY_POINT_GROUP, load_plugin
from core.testing import PluginChain, site_for
from tests.harness import serving

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "plugins.md").read_text()
FENCE = re.compile(r"(?P<before>[^\n]*(?:\n[^\n]+)*)\n\n```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
FILE = re.compile(r"`(\w+\.(?:py|toml))`")
NOT_FOR_AUTHORS = {"plan"}


def snippets() -> list[tuple[str, str, str]]:
    """Return kind, file name (perhaps empty) and text of each fenced block."""
    found = []
    for match in FENCE.finditer(PAGE):
        names = FILE.findall(match["before"])
        found.append((match["kind"], names[-1] if names else "", match["text"]))
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the page's files into a folder, and let its modules be imported."""
    for _, name, text in snippets():
        if name:
            (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for _, name, _ in snippets():
        monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
    return tmp_path


def agora(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, as in a terminal without colours."""
    command = "import sys; from gateway.cli import main; sys.argv[0] = 'agora'; main()"
    return subprocess.run(
        [sys.executable, "-c", command, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_page_has_the_snippets_that_are_tried_here() -> None:
    names = {name for _, name, _ in snippets()}
    assert {"greeting.py", "gate.py", "limits.py", "gateway.toml", "pyproject.toml"} <= names
    assert PAGE.count("```") == 2 * len(snippets())


def test_the_first_plugin_has_eight_lines() -> None:
    text = next(text for _, name, text in snippets() if name == "greeting.py")
    lines = [line for line in text.partition("class Greeting")[2].splitlines() if line.strip()]
    assert len(lines) == 8


def test_the_authenticator_knows_a_partner() -> None:
    text = next(text for _, name, text in snippets() if name == "partner.py")
    names: dict[str, Any] = {"__name__": "partner"}
    exec(compile(text, "partner.py", "exec", dont_inherit=True), names)
    config = Decoder().decode({"secret": "word"}, names["Partner"].Config)
    chain = PluginChain(names["Partner"](config, site_for(route="test")))
    signature = hmac.new(b"word", b"/orders", "sha256").hexdigest()
    sent = chain.send("GET", "/orders", headers={"x-signature": signature})
    assert sent.forwarded is not None
    assert (b"x-consumer-name", b"partner") in sent.forwarded.headers
    assert chain.send("GET", "/others", headers={"x-signature": signature}).status == 401
    assert chain.send("GET", "/orders").headers.get(b"www-authenticate") == b"Signature"


def test_the_pages_tests_pass(folder: Path) -> None:
    options = "asyncio_mode = auto", "asyncio_default_fixture_loop_scope = function", "filterwarnings = error"
    (folder / "pytest.ini").write_text("\n".join(["[pytest]", *options, ""]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


def test_the_commands_print_what_is_shown(folder: Path) -> None:
    for kind, _, text in snippets():
        if kind != "console":
            continue
        for command, *shown in (
            part.splitlines() for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
        ):
            program, *arguments = command.split()
            assert program == "agora"
            if arguments[0] == "serve":
                continue
            done = agora(folder, *arguments)
            assert done.returncode == 0, done.stderr
            assert [line for line in shown if line not in done.stdout.splitlines()] == []


def test_a_misspelled_option_is_refused_as_shown(folder: Path) -> None:
    config = folder / "gateway.toml"
    config.write_text(config.read_text().replace("text =", "txt ="))
    shown = re.search(r"`(route\[0\]\.plugin\[0\]\.txt: [^`]+)`", PAGE)
    done = agora(folder, "check", "gateway.toml")
    assert shown is not None
    assert done.returncode == 1
    assert shown[1] in done.stdout + done.stderr


async def test_the_configuration_serves_the_greeting(folder: Path) -> None:
    config = tomllib.loads((folder / "gateway.toml").read_text())
    async with serving(config) as gateway:
        answer = await gateway.exchange(b"GET /hello/ada HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"x-greeting: good morning\r\n" in answer
    assert answer.endswith(b"hello")


def test_the_options_are_read_as_the_page_says() -> None:
    (text,) = [text for kind, name, text in snippets() if kind == "python" and not name]
    names: dict[str, Any] = {"__name__": "options"}
    exec(compile(text, "options", "exec", dont_inherit=True), names)
    config = Decoder().decode({"most": "2KiB", "patience": 2}, names["Config"])
    assert (config.share, config.patience, config.most) == (0.5, 2, 2048)
    with pytest.raises(ConfigInvalid, match="most: is too small; give at least 1KiB"):
        Decoder().decode({"most": 5}, names["Config"])


def test_the_entry_point_names_the_plugin(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    (path,) = project["project"]["entry-points"][ENTRY_POINT_GROUP].values()
    assert load_plugin(path).__name__ == "Greeting"


def test_the_phases_are_all_there() -> None:
    table = PAGE.partition("## Phases")[2].partition("\n\n*")[0]
    assert tuple(re.findall(r"^\| `(\w+)\(", table, re.MULTILINE)) == PHASES


def public(kind: type) -> set[str]:
    """Return the attributes of a compiled class that are not methods."""
    return {name for name in dir(kind) if not name.startswith("_") and not callable(getattr(kind, name))}


def test_the_tables_name_what_there_is() -> None:
    section = PAGE.partition("## What an exchange offers")[2].partition("\n## ")[0]
    exchange, _, rest = section.partition("| of the request |")
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]*)\|", exchange, re.MULTILINE))))
    assert named == public(Exchange) - NOT_FOR_AUTHORS
    cells = re.findall(r"^\|([^|]*)\|[^|]*\|([^|]*)\|", rest, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", "".join(one for one, _ in cells))) == public(Request)
    assert set(re.findall(r"`(\w+)`", "".join(two for _, two in cells))) == public(Response)
    for method in ("get", "get_all", "set", "add", "remove"):
        assert f"`{method}(" in rest
        assert callable(getattr(Headers, method))
