import json
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from core.config import Config
from core.decode import ConfigInvalid, Decoder
from core.plugin import PluginConfig
from core.units import Duration
from gateway.reference import DOCS, PAGE, SCHEMA, page_text, schema_text
from gateway.schema import config_schema

EXAMPLES = DOCS.parent / "examples"
REMEDY = "run `python -m gateway.reference`"


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    limit: int  # how many
    inner: "Window | None" = None


class Sample:
    """Shows every kind of option."""

    class Config(PluginConfig, frozen=True):
        text: str = "hello"  # what to say
        wait: Duration = Duration("5s")  # how long
        by: tuple[str, ...] = ("ip",)
        window: Window | None = None
        names: dict[str, int] = {}  # noqa: RUF012 - a struct copies it

    def response(self, exchange: object) -> None: ...


SAMPLE = f"{__name__}:Sample"
SCHEMA_OF_SAMPLE = config_schema({"sample": Sample})  # type: ignore[dict-item]


def errors(data: Any, schema: dict[str, Any] = SCHEMA_OF_SAMPLE) -> list[str]:
    return [error.json_path for error in Draft202012Validator(schema).iter_errors(data)]


def test_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA_OF_SAMPLE)
    Draft202012Validator.check_schema(config_schema({}))


def test_every_key_says_what_it_is_for_and_its_default() -> None:
    for name, definition in SCHEMA_OF_SAMPLE["$defs"].items():
        if not name.startswith("plugin."):
            assert definition["description"], name
            for key, schema in definition["properties"].items():
                assert schema.get("description"), f"{name}.{key}"
    head = SCHEMA_OF_SAMPLE["$defs"]["Timeouts"]["properties"]["head"]
    assert head["default"] == "10s"
    assert head["type"] == ["string", "number"]


def test_a_plugins_options_follow_from_its_name() -> None:
    options = SCHEMA_OF_SAMPLE["$defs"]["plugin.sample"]
    assert options["title"] == "sample"
    assert options["description"] == "Shows every kind of option."
    assert options["properties"]["text"] == {
        "type": "string",
        "description": "what to say",
        "default": "hello",
    }
    assert options["properties"]["by"]["default"] == ["ip"]


@pytest.mark.parametrize(
    ("plugin", "places"),
    [
        ({"use": "sample"}, []),
        ({"use": "sample", "text": "a", "wait": 3, "window": {"limit": 1, "inner": {"limit": 2}}}, []),
        ({"use": "package.module:Class", "anything": 1}, []),
        ({"use": "sample", "txt": "a"}, ["$.plugin[0]"]),
        ({"use": "sample", "text": 3}, ["$.plugin[0].text"]),
        ({"use": "sample", "wait": "soon"}, ["$.plugin[0].wait"]),
        ({"use": "sample", "names": {"a": "b"}}, ["$.plugin[0].names.a"]),
        ({"use": "sampel"}, ["$.plugin[0].use"]),
        ({"text": "a"}, ["$.plugin[0]"]),
    ],
)
def test_plugins_are_checked(plugin: dict[str, Any], places: list[str]) -> None:
    assert errors({"plugin": [plugin]}) == places


@pytest.mark.parametrize(
    ("data", "places"),
    [
        ({}, []),
        ({"$schema": "x"}, []),
        ({"rout": []}, ["$"]),
        ({"route": [{"name": "a", "path": "/", "respond": {}}]}, []),
        ({"route": [{"name": "a", "path": "/"}]}, ["$.route[0]"]),
        ({"route": [{"name": "a", "path": "/", "respond": {}, "app": "a:b"}]}, ["$.route[0]"]),
        ({"route": [{"name": "a", "path": "x", "respond": {}}]}, ["$.route[0].path"]),
        (
            {"route": [{"name": "a", "path": "/", "methods": ["get"], "respond": {}}]},
            ["$.route[0].methods[0]"],
        ),
        ({"server": {"listen": "127.0.0.1:8000"}}, []),
        ({"server": {"listen": ["127.0.0.1:8000", "unix:a"]}}, []),
        ({"server": {"listen": "8000"}}, ["$.server.listen"]),
        ({"server": {"timeouts": {"head": "10 s", "body": 3}}}, []),
        ({"server": {"limits": {"body": "1 parsec"}}}, ["$.server.limits.body"]),
        ({"upstream": [{"name": "u", "targets": []}]}, ["$.upstream[0].targets"]),
        ({"upstream": [{"name": "u", "targets": ["http://a"], "tls": {"key": "k"}}]}, ["$.upstream[0].tls"]),
    ],
)
def test_configurations_are_checked(data: dict[str, Any], places: list[str]) -> None:
    assert errors(data) == places


RIGHT: dict[str, Any] = {
    "server": {"listen": ["127.0.0.1:8000"], "timeouts": {"head": "5s"}, "trusted_proxies": ["10.0.0.0/8"]},
    "upstream": [{"name": "u", "targets": ["http://a:1"], "tls": {"verify": True}, "max_idle": 3}],
    "route": [
        {"name": "a", "path": "/{x}", "methods": ["GET"], "hosts": ["*.example.test"], "upstream": "u"},
        {"name": "b", "path": "/b", "respond": {"status": 200, "headers": {"x-a": "b"}, "json": [1]}},
    ],
    "plugin": [{"use": SAMPLE, "text": "a"}],
    "consumer": [{"name": "c", "keys": ["k"], "groups": []}],
}
replacement = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 70000), st.floats(), st.text(max_size=4),
    st.sampled_from(["1s", "2KiB", "a:1", "http://b", "GET", "/x", "both", "none", "::1", "m:n", "optional"]),
    st.builds(list), st.builds(dict), st.builds(lambda: ["x"]), st.builds(lambda: {"a": "b"}),
)  # fmt: skip


@given(st.data())
def test_what_is_read_is_never_marked_as_wrong_in_an_editor(data: st.DataObject) -> None:
    changed = json.loads(json.dumps(RIGHT))
    for _ in range(data.draw(st.integers(1, 3))):
        place = changed
        while True:
            keys = list(range(len(place))) if isinstance(place, list) else list(place)
            extra = [] if isinstance(place, list) else [data.draw(st.sampled_from(KEYS))]
            if not keys + extra:
                break
            key = data.draw(st.sampled_from(keys + extra))
            inside = place[key] if key in keys else None
            if isinstance(inside, dict | list) and data.draw(st.booleans()):
                place = inside
                continue
            place[key] = data.draw(replacement)
            break
    try:
        Decoder().decode(changed, Config)
    except ConfigInvalid:
        return
    assert errors(changed) == []


KEYS = sorted({key for definition in SCHEMA_OF_SAMPLE["$defs"].values() for key in definition["properties"]})


def test_the_published_schema_says_what_the_structs_say() -> None:
    assert SCHEMA.read_text() == schema_text(), REMEDY


def test_the_published_tables_say_what_the_structs_say() -> None:
    page = PAGE.read_text()
    assert page == page_text(page), REMEDY
    assert "### `[[upstream]]`" in page


def test_the_documents_examples_are_right() -> None:
    blocks = re.findall(r"^```(toml|yaml)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert {language for language, _ in blocks} == {"toml", "yaml"}
    for language, text in blocks:
        data = tomllib.loads(text) if language == "toml" else yaml.safe_load(text)
        assert errors(data, json.loads(schema_text())) == [], text


def test_the_same_example_in_toml_and_yaml_means_the_same() -> None:
    toml, yaml_text = re.findall(r"^```(?:toml|yaml)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)[
        :2
    ]
    decoder = Decoder(folder=Path("/"))
    assert decoder.decode(tomllib.loads(toml), Config) == decoder.decode(yaml.safe_load(yaml_text), Config)


def test_the_example_configurations_are_right() -> None:
    schema = json.loads(schema_text())
    readers: dict[str, Any] = {".toml": tomllib.loads, ".yaml": yaml.safe_load, ".json": json.loads}
    for file in sorted(EXAMPLES.rglob("*")):
        if file.suffix in readers:
            assert errors(readers[file.suffix](file.read_text()), schema) == [], file
