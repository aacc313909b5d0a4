"""Hold files to a size that one reads at a sitting; split by noun what grows beyond it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES = 500
FOLDERS = ("core", "engines", "plugins", "gateway", "tests", "bench", "examples")
FILES = sorted(
    path
    for folder in FOLDERS
    for ending in ("*.py", "*.pyx", "*.pxd", "*.pyi")
    for path in (ROOT / folder).rglob(ending)
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_has_no_more_lines_than_one_reads_at_a_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_has_a_name_that_says_what_is_inside(path: Path) -> None:
    assert not {"helpers", "helper", "utils", "util", "misc", "common"} & set(path.stem.split("_"))
