"""`agora hash-password`: make what a consumer's `password` is in a configuration."""

from __future__ import annotations

import sys

import typer

from gateway.terminal import print_line


def hash_password() -> None:
    """Ask for a password, or read it from stdin, and print its argon2 hash."""
    from core.authentication.password import hash_password as hashed

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not password:
        raise typer.BadParameter("the password is empty")
    print_line(hashed(password))
