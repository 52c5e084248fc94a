"""YAML and JSON that people write: configurations and label schemes, read in one place.

YAML is read as its version 1.2 has it: only `true` and `false` are truth values (`no` and `yes` are texts), `1e-3` is a
number. What a configuration never needs is refused, with its line: aliases, a key given twice, tags, deep nesting, numbers
that are not finite.
"""

import json
import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from ser.errors import ConfigError
from ser.files import open_regular, why

LARGEST = 64 * 1024  # bytes; PyYAML reads them in about a second
DEEPEST = 20  # levels of lists and mappings in each other
# What PyYAML calls the parts of a text in its messages, in quotation marks or without, in words.
_TOKEN = r"['\"]?<([a-z ]+)>['\"]?"
_TOKENS = {
    "stream end": "the end of the file",
    "document start": "---",
    "document end": "...",
    "block end": "a line that begins like those before it",
    "block mapping start": "another key",
    "block sequence start": "a list",
    "block entry": "-",
    "scalar": "a text",
    "unicode string": "it",
}


def read_yaml(path: Path, what: str) -> Any:
    """The content of a YAML file, or of a JSON file where its name ends in `.json`.

    Args:
        what: the name of such a file in messages, such as "configuration".

    Raises:
        ConfigError: the file is not there, is not a regular file, is larger than `LARGEST`, or is not such a text.
    """
    problem = f"cannot read the {what} {path}"
    try:
        with open_regular(path) as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise ConfigError(problem, found=why(error)) from None
    if len(content) > LARGEST:
        raise ConfigError(problem, expected=f"at most {LARGEST} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(problem, expected="text in UTF-8", found=why(error)) from None
    return _parsed_json(text, problem) if path.suffix == ".json" else parse_yaml(text, problem)


def parse_yaml(text: str, problem: str) -> Any:
    """The content of a YAML text: texts, numbers, truth values, None, lists, and dicts of them.

    Args:
        problem: the message if it cannot be read; the fault is added.

    Raises:
        ConfigError: the text is not YAML, or has a construct that is refused here.

    >>> parse_yaml("{lr: 1e-3, gate: true, names: [no, 010]}", "the example")
    {'lr': 0.001, 'gate': True, 'names': ['no', 10]}
    """
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        said = _said(error.problem or error.context or "")
        expected, but, found = said.removeprefix("expected ").partition(", but ")
        found = re.sub("^(found|got) ", "", found if but else said)
        expected = expected.replace("the node content", "a value")
        raise ConfigError(problem, expected=expected if but else None, found=found + where) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(problem, found=_said(str(error))) from None
    except KeyError as error:  # PyYAML's, for a word that a tag declares to be a truth value
        raise ConfigError(problem, found=f"{error} tagged as a truth value") from None


def _said(text: str) -> str:
    """A message of PyYAML with words for the parts of a text."""
    return re.sub(_TOKEN, lambda token: _TOKENS.get(token[1], token[1]), text)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the types of YAML 1.2, and without aliases, keys given twice, tags and deep nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(None, None, "an alias, which is not read here", mark)
        if self.depth > DEEPEST:
            message = f"more than {DEEPEST} levels of lists and mappings in each other"
            raise yaml.MarkedYAMLError(None, None, message, mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(None, None, "a key that is not a text", key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(None, None, f"{key.value!r} twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        return int(node.value)

    def construct_number(self, node: yaml.ScalarNode) -> float:
        return _finite(node.value)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text}, which is not a finite number")
    return value


_CORE = "tag:yaml.org,2002:"
_Loader.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(_CORE + _kind, re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.yaml_constructors = {
    _CORE + "null": yaml.SafeLoader.construct_yaml_null,
    _CORE + "bool": yaml.SafeLoader.construct_yaml_bool,
    _CORE + "int": _Loader.construct_whole,
    _CORE + "float": _Loader.construct_number,
    _CORE + "str": yaml.SafeLoader.construct_yaml_str,
    _CORE + "seq": yaml.SafeLoader.construct_yaml_seq,
    _CORE + "map": yaml.SafeLoader.construct_yaml_map,
    None: yaml.SafeLoader.construct_undefined,
}


def _parsed_json(text: str, problem: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise ValueError(f"{repeated[0]!r} twice")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ConfigError(problem, found="too many levels of lists and objects in each other") from None
    except ValueError as error:
        raise ConfigError(problem, found=error) from None
