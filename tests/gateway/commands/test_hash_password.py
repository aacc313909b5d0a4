"""`agora hash-password`."""

from __future__ import annotations

from typer.testing import CliRunner

from core.authentication.password import verify
from gateway.cli import app


def test_prints_a_hash_of_what_it_reads() -> None:
    result = CliRunner().invoke(app, ["hash-password"], input="a secret\n")
    assert result.exit_code == 0
    assert verify(result.stdout.strip(), b"a secret")


def test_an_empty_password_is_refused() -> None:
    assert CliRunner().invoke(app, ["hash-password"], input="\n").exit_code == 2
