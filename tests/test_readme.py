"""Hold the README to what is there: commands run, links lead somewhere, the plugin is the example's."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
AGORA = Path(sys.executable).with_name("agora")
README = (ROOT / "README.md").read_text()
SERVING = ("serve", "requests")  # end only when told to, or need a gateway that has served
COMMANDS = [
    line.split("  #")[0].split()[1:]
    for line in re.findall(r"^\.venv/bin/agora .*$", README, re.MULTILINE)
    if line.split()[1] not in SERVING
]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make (\w+)`", README))))
def test_names_targets_that_make_knows(target: str) -> None:
    assert re.search(rf"^{target}:.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", README))))
def test_links_to_files_that_exist(link: str) -> None:
    assert (ROOT / link).is_file()


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_runs_the_commands_as_written(arguments: list[str]) -> None:
    done = subprocess.run([AGORA, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_shows_the_plugin_that_the_quickstart_uses() -> None:
    shown = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    assert textwrap.dedent(shown) in (ROOT / "examples" / "greeting.py").read_text()
    used = re.findall(r"```toml\n\[\[route.plugin\]\]\n(.*?)```", README, re.DOTALL)[0]
    quickstart = re.sub(r" *#.*| +", "", (ROOT / "examples" / "quickstart.toml").read_text())
    assert re.sub(" +", "", used) in quickstart
