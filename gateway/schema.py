"""The JSON Schema (2020-12) of a configuration, for editors; made from the structs, so it agrees with them.

Every plugin's options are in it, chosen by `use`. `agora schema` prints it; a copy with the built-in
plugins is published as docs/agora.schema.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import msgspec
from msgspec import NODEFAULT, UNSET
from msgspec import inspect as types

from core.config import Config, PluginUse
from core.describe import field_docs
from core.plugin import Plugin
from core.table import END

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def config_schema(plugins: Mapping[str, type[Plugin]]) -> Schema:
    """Return the schema of a whole configuration in which these plugins, by their `use` names, are known."""
    definitions: dict[str, Schema] = {}
    root = _SchemaMaker(definitions).struct(Config)
    for use, plugin in plugins.items():
        options = _SchemaMaker(definitions, prefix=f"plugin.{use}.").struct(plugin.Config)
        options["title"] = use
        options["description"] = (plugin.__doc__ or "").strip().partition("\n")[0]
        options["properties"] = {"use": {"const": use}, **options["properties"]}
        definitions[f"plugin.{use}"] = options
    definitions["Plugin"] = _plugin_use(plugins)
    root["properties"] = {"$schema": {"type": "string", "description": "this schema"}, **root["properties"]}
    return {"$schema": DIALECT, **root, "$defs": dict(sorted(definitions.items()))}


def options_schema(plugin: type[Plugin]) -> Schema:
    """Return the JSON Schema of a plugin's options."""
    definitions: dict[str, Schema] = {}
    options = _SchemaMaker(definitions).struct(plugin.Config)
    return {**options, "$defs": definitions}


def _plugin_use(plugins: Mapping[str, type[Plugin]]) -> Schema:
    own = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*$"
    use = {
        "description": "name of a plugin, or its import path: package.module:Class",
        "anyOf": [{"enum": list(plugins)}, {"type": "string", "pattern": own}],
    }
    options = [
        {
            "if": {"properties": {"use": {"const": name}}, "required": ["use"]},
            "then": {"$ref": f"#/$defs/plugin.{name}"},
        }
        for name in plugins
    ]
    return {
        "title": "Plugin",
        "description": "One plugin at one place, with its options.",
        "type": "object",
        "properties": {"use": use},
        "required": ["use"],
        **({"allOf": options} if options else {}),
    }


class _SchemaMaker:
    """Make schemas of types; structs below the first become definitions, named with a prefix."""

    def __init__(self, definitions: dict[str, Schema], prefix: str = "") -> None:
        self.definitions = definitions
        self.prefix = prefix

    def struct(self, struct: type[msgspec.Struct]) -> Schema:
        """Return the schema of a struct's table."""
        properties: dict[str, Schema] = {}
        for name, doc in field_docs(struct).items():
            schema = self.schema(types.type_info(doc.kind))
            if doc.description:
                schema["description"] = doc.description
            default = None if doc.default is NODEFAULT else _plain(doc.default)
            if default not in (None, [], {}):
                schema["default"] = default
            properties[name] = schema
        made: Schema = {
            "title": struct.__name__.removesuffix("Config") or struct.__name__,
            "description": (struct.__doc__ or "").strip().partition("\n")[0],
            "type": "object",
            "properties": properties,
            "required": [name for name, doc in field_docs(struct).items() if doc.required],
            "additionalProperties": not struct.__struct_config__.forbid_unknown_fields,
        }
        return made | getattr(struct, "json_schema", {})

    def schema(self, info: types.Type) -> Schema:
        """Return the schema of any type that a configuration can hold."""
        if isinstance(info, types.Metadata):
            return self.schema(info.type) | (info.extra_json_schema or {})
        if isinstance(info, types.StructType):
            return self._reference(info.cls)
        if isinstance(info, types.CustomType):
            return self._custom(info.cls)
        if isinstance(info, types.UnionType):
            return {"anyOf": [self.schema(member) for member in info.types]}
        if isinstance(info, types.LiteralType):
            return {"enum": list(info.values)}
        if isinstance(info, types.EnumType):
            return {"enum": [member.value for member in info.cls]}
        if isinstance(info, types.CollectionType):
            size = {"minItems": info.min_length, "maxItems": info.max_length}
            return _given({"type": "array", "items": self.schema(info.item_type), **size})
        if isinstance(info, types.DictType):
            keys = self.schema(info.key_type)
            return {
                "type": "object",
                "propertyNames": keys,
                "additionalProperties": self.schema(info.value_type),
            }
        return _leaf(info)

    def _reference(self, struct: type[msgspec.Struct]) -> Schema:
        name = self.prefix + struct.__name__.removesuffix("Config")
        if name not in self.definitions:
            self.definitions[name] = {}  # a struct may contain itself
            self.definitions[name] = self.struct(struct)
        return {"$ref": f"#/$defs/{name}"}

    def _custom(self, kind: type) -> Schema:
        if kind is PluginUse:
            return {"$ref": "#/$defs/Plugin"}
        if issubclass(kind, PurePath):
            return {"type": "string", "minLength": 1}
        return dict(getattr(kind, "json_schema", {}))


def _leaf(info: types.Type) -> Schema:
    if isinstance(info, types.BoolType):
        return {"type": "boolean"}
    if isinstance(info, types.NoneType):
        return {"type": "null"}
    if isinstance(info, types.IntType | types.FloatType):
        bounds = {
            "minimum": info.ge,
            "exclusiveMinimum": info.gt,
            "maximum": info.le,
            "exclusiveMaximum": info.lt,
        }
        kind = "integer" if isinstance(info, types.IntType) else "number"
        return _given({"type": kind, **bounds, "multipleOf": info.multiple_of})
    if isinstance(info, types.StrType):
        pattern = info.pattern.replace(END, "$") if info.pattern else None
        return _given(
            {"type": "string", "pattern": pattern, "minLength": info.min_length, "maxLength": info.max_length}
        )
    return {}


def _given(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if value is not None}


def _plain(default: Any) -> Any:
    """Return a default as a file would hold it; None if there is no way to write it."""
    if default is None or default is UNSET or isinstance(default, msgspec.Struct):
        return None
    if isinstance(default, tuple | list):
        return [_plain(item) for item in default]
    if isinstance(default, dict):
        return {key: _plain(item) for key, item in default.items()}
    if isinstance(default, bool) or type(default) in (int, float, str):
        return default
    return str(default) if default else 0
