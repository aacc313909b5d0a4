"""YAML without its traps: a safe loader that refuses keys that are there twice or are no strings.

The rule is checked on the text's own tables, before merge keys (`<<`) fill them up, so overriding a
merged key is fine. `gateway/config_syntax.py` uses it.
"""

from __future__ import annotations

from typing import Any

import yaml
from yaml.composer import ComposerError

STRING = "tag:yaml.org,2002:str"
MERGE = "tag:yaml.org,2002:merge"


class StrictLoader(yaml.SafeLoader):
    """Load plain data only, each key of a table once."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a table and check its keys."""
        node = super().compose_mapping_node(anchor)
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if key.tag == MERGE:
                continue
            if key.tag != STRING:
                name = f"the key {key.value!r}" if isinstance(key, yaml.ScalarNode) else "a key"
                problem = f"{name} is not a string; put it in quotes"
                raise ComposerError(None, None, problem, key.start_mark)
            if key.value in first:
                before = first[key.value].start_mark.line + 1
                problem = f"the key {key.value!r} is there twice, first at line {before}"
                raise ComposerError(None, None, problem, key.start_mark)
            first[key.value] = key
        return node
