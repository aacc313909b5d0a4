"""LMDB's functions, as compiled code calls them."""

import subprocess
import sys

import lmdb
import pytest

import core._fast.mdb
from core._fast import mdb


def test_is_the_compiled_module() -> None:
    assert core._fast.mdb.__file__.endswith(".so")


def test_calls_the_pinned_version_that_the_package_brings_along() -> None:
    assert mdb.version() == mdb.REQUIRED == lmdb.version()


@pytest.mark.parametrize(
    ("code", "words"),
    [(-30798, "MDB_NOTFOUND"), (-30792, "MDB_MAP_FULL"), (5, "Input/output error"), (28, "No space left")],
)
def test_describes_a_code_in_words(code: int, words: str) -> None:
    assert words in mdb.describe(code)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("lmdb.cpython.__file__ = '/nowhere/cpython.so'", "extension is not loaded"),
        ("import msgspec._core; lmdb.cpython.__file__ = msgspec._core.__file__", "no function mdb09_version"),
    ],
)
def test_refuses_another_library_in_the_package_s_place(change: str, message: str) -> None:
    program = f"import lmdb.cpython\n{change}\nimport core._fast.mdb"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "ImportError" in ended.stderr
    assert message in ended.stderr
