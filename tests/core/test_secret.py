from typing import Any

import pytest

from core.decode import ConfigInvalid, Decoder, FieldInvalid
from core.secret import Secret


def test_a_written_value_is_never_shown() -> None:
    secret = Secret.from_plain("hunter2", Decoder())
    assert secret.reveal() == "hunter2"
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"


def test_a_reference_is_looked_up_and_shown_in_the_place_of_the_value() -> None:
    secret = Secret.from_plain("env:KEY", Decoder(resolve={"env:KEY": "hunter2"}.__getitem__))
    assert secret.reveal() == "hunter2"
    assert repr(secret) == "Secret(env:KEY)"


def test_a_reference_without_anyone_to_look_it_up_is_refused() -> None:
    with pytest.raises(FieldInvalid, match="cannot be looked up here"):
        Secret.from_plain("env:KEY", Decoder())


@pytest.mark.parametrize("value", ["", 7, None, True, ["x"]])
def test_refuses_what_is_no_secret(value: Any) -> None:
    with pytest.raises(FieldInvalid, match="must be a secret"):
        Secret.from_plain(value, Decoder())


def test_secrets_are_equal_by_value() -> None:
    assert Secret("a") == Secret("a", "env:A")
    assert Secret("a") != Secret("b")
    assert Secret("é") != Secret("a")
    assert len({Secret("a"), Secret("a", "env:A")}) == 1
    assert Secret("a") != "a"


@pytest.mark.parametrize("value", [8472, "hunter2", [["hunter2"]], [8472], {"a": "hunter2"}])
def test_a_misplaced_secret_is_not_shown_either(value: object) -> None:
    for kind in (list[Secret], Secret | None):
        if kind == list[Secret] or not isinstance(value, str):
            with pytest.raises(ConfigInvalid) as refusal:
                Decoder().decode(value, kind)  # type: ignore[arg-type]
            assert "hunter2" not in str(refusal.value)
            assert "8472" not in str(refusal.value)
