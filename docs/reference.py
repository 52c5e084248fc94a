"""Write the reference pages of the documentation site from the code: commands, options, plugins, Python, files."""

import inspect
import re
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import click

import ser
from ser import registry
from ser.cli import cli
from ser.commands._configuration import COMMON

# Kinds of plugins that users do not name, so that the reference leaves them out.
INTERNAL = ("command",)


def write(folder: Path) -> None:
    """Write all reference pages; those of plugins and commands that are gone are removed."""
    pages = {"commands.md": _commands_page(), "options.md": _options_page(), "python.md": _python_page()}
    pages |= {f"commands/{name}.md": _command_page(name, command) for name, command in _commands(cli)}
    pages |= {"plugins.md": _plugins_page()}
    pages |= {f"plugins/{_slug(kind)}.md": _kind_page(kind) for kind in _kinds()}
    pages |= {"schemas.md": _schemas_page()}
    pages |= {f"schemas/{name}.md": _schema_page(name) for name in _schemas()}
    for file in folder.rglob("*.md"):
        if file.relative_to(folder).as_posix() not in pages:
            file.unlink()
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:  # Sphinx reads again what has changed
            path.write_text(text, encoding="utf-8")


def plain(text: str) -> str:
    """Text of a help or a docstring as one line of Markdown, within a table too; what is in backticks stays code."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    parts[::2] = [re.sub(r"([\\*_\[\]<>~#$])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts).replace("|", "\\|")


def _code(text: Any) -> str:
    return f"`{text}`".replace("|", "\\|") if str(text) else ""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head)]
    lines += [["---"] * len(lines[0]), *map(list, rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def _tree(pages: Iterable[str]) -> str:
    return "```{toctree}\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"


def _slug(name: str) -> str:
    return name.replace(" ", "-")


# Commands


def _commands(group: click.Group) -> list[tuple[str, click.Command]]:
    context = click.Context(group, info_name="ser")
    found = ((name, group.get_command(context, name)) for name in group.list_commands(context))
    return [(name, command) for name, command in found if command is not None and not command.hidden]


def _commands_page() -> str:
    rows = [[f"[`ser {name}`](commands/{name}.md)", plain(command.get_short_help_str(200))] for name, command in _commands(cli)]
    return "\n".join(
        [
            "# Commands\n",
            "Made from the program's own help: `ser COMMAND --help` prints the same.\n",
            _table(["command", "does"], rows),
            "## Options of all commands\n",
            "They stand before the command or after it.\n",
            _parameters(next(c for _, c in _commands(cli) if not isinstance(c, click.Group)), common=True),
            _tree(f"commands/{name}" for name, _ in _commands(cli)),
        ]
    )


def _command_page(name: str, command: click.Command) -> str:
    return f"# `ser {name}`\n\n" + _command(f"ser {name}", command, 2)


def _command(path: str, command: click.Command, level: int) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    text = f"{_help(command.help or '')}\n```text\n{usage}\n```\n\n"
    if isinstance(command, click.Group):
        for name, inner in _commands(command):
            text += f"{'#' * level} `{path} {name}`\n\n" + _command(f"{path} {name}", inner, level + 1)
        return text
    return (
        text
        + _parameters(command)
        + "\nAnd the [options of all commands](/docs/reference/commands.md#options-of-all-commands).\n\n"
    )


def _help(text: str) -> str:
    """The paragraphs of a help text; those that click is told not to fill (examples) become code."""
    made = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            made.append("```text\n" + paragraph.removeprefix("\b").strip("\n") + "\n```\n")
        else:
            made.append(plain(paragraph) + "\n")
    return "\n".join(made)


def _parameters(command: click.Command, common: bool = False) -> str:
    context = click.Context(command)
    rows = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            if not common:
                rows.append([_code(parameter.make_metavar(context)), "an argument"])
            continue
        record = parameter.get_help_record(context)
        if record is not None and (parameter.name in COMMON) == common:
            names, text = record
            choices = re.search(r" \[(.*\|.*)\]$", names)
            if choices:  # a long list of words would make the first column wide
                names = names[: choices.start()]
                text += f" One of {', '.join(map(_code, choices[1].split('|')))}."
            rows.append([_code(names), plain(text)])
    return _table(["option", "meaning"], rows) if rows else "It has no options of its own.\n"


# Options of experiments


@cache
def options_of_experiments() -> dict[str, Any]:
    """The fields of the options that all training commands share, by name."""
    from ser.train.loop.config import Config
    from ser.train.option import is_option
    from ser.train.runs.options import OF_COMMANDS, option_fields

    training = {f.name: f for f in fields(Config) if is_option(f) and f.name not in OF_COMMANDS}
    return {**option_fields(), **training}


def _options_page() -> str:
    from ser.train.option import described, flag, is_option
    from ser.train.runs.options import option_fields

    def row(field: Any) -> list[str]:
        name = flag(field)
        return [_code(field.name), _code(f"--{name}") if name != "-" else "", plain(described(field))]

    head = ["Python", "command line", "meaning"]
    general = [f for f in option_fields().values() if is_option(f)]
    training = [f for name, f in options_of_experiments().items() if name not in option_fields()]
    return "\n".join(
        [
            "# Options of experiments\n",
            "`ser fit` and the other commands that train share these options; in Python they are keyword arguments of "
            "`ser.fit` and its kin.\n",
            "## Data, folds and runs\n",
            _table(head, map(row, general)),
            "## Training\n",
            "Each head has defaults of its own, which the [list of heads](plugins/head.md) shows; None is that default.\n",
            _table(head, map(row, training)),
        ]
    )


# Plugins


def _kinds() -> list[str]:
    return [kind for kind in registry.kinds() if kind not in INTERNAL]


def _plugins_page() -> str:
    rows = []
    for kind in _kinds():
        package = registry.kinds()[kind]
        listed = ", ".join(_code(name) for name in registry.names(package))
        rows.append([f"[{kind}](plugins/{_slug(kind)}.md)", listed, _code(registry.group(package))])
    return "\n".join(
        [
            "# Plugins\n",
            "Each is a file in a folder of the package; one of your own may stay outside: "
            "[Parts of your own](/docs/extending.md).\n",
            _table(["kind", "there are", "entry points"], rows),
            _tree(f"plugins/{_slug(kind)}" for kind in _kinds()),
        ]
    )


def _kind_page(kind: str) -> str:
    package = registry.kinds()[kind]
    text = [f"# {kind[0].upper()}{kind[1:]} plugins\n"]
    for name, module in registry.load_all(kind).items():
        text += [f"## {name}\n", _facts(kind, name, module)]
    text.append(f"Their files are in `{package.replace('.', '/')}/`.\n")
    return "\n".join(text)


def _facts(kind: str, name: str, module: Any) -> str:
    """The facts of one plugin on a page: its description as the command line prints it, or its docstring, and its options."""
    if kind in ("corpus", "encoder"):
        describing = import_module("ser.metadata.corpus" if kind == "corpus" else "ser.extract.catalogue")
        return "\n".join(["```text", *describing.description(name), "```\n"])
    return _docstring(module) + (_options_of_head(module) if kind == "head" else "")


def _options_of_head(module: Any) -> str:
    text = ""
    if hasattr(module, "Head"):
        options = list(inspect.signature(module.Head.__init__).parameters.values())[3:]  # after self, inputs, classes
        rows = [[_code(p.name), _code(repr(p.default))] for p in options if p.kind is not p.VAR_KEYWORD]
        text += "\n" + _table(["`--head-option`", "default"], rows) if rows else ""
    defaults = ", ".join(_code(f"{name}={value}") for name, value in getattr(module, "DEFAULTS", {}).items())
    return text + (f"\nIts defaults of training: {defaults}.\n" if defaults else "")


def _docstring(module: Any) -> str:
    """A docstring as Markdown, which it nearly is: what Markdown would take for markup is escaped."""
    lines = inspect.cleandoc(module.__doc__ or "").split("\n")
    escaped = (re.sub(r"(?<!`)([<>$])(?![^`]*`)", r"\\\1", line) for line in lines)
    return "\n".join(new if not old.startswith("    ") else old for old, new in zip(lines, escaped, strict=True)) + "\n"


# Python


def _python_page() -> str:
    parts = ["# Python\n", "`import ser` costs nothing; each name is imported when it is first used.\n"]
    for name in ser.__all__:
        thing = getattr(ser, name)
        if isinstance(thing, type):
            parts.append(f"## `ser.{name}`\n\n```{{eval-rst}}\n.. autoclass:: ser.{name}\n   :members:\n```\n")
        elif callable(thing):
            parts.append(f"## `ser.{name}`\n\n```{{eval-rst}}\n.. autofunction:: ser.{name}\n```\n")
    return "\n".join(parts)


# Records


def _schemas() -> dict[str, Any]:
    from ser.results.records.kinds import kinds

    return dict(kinds())


def _schemas_page() -> str:
    rows = [
        [f"[`{name}`](schemas/{_slug(name)}.md)", plain((kind.__doc__ or "").strip().split("\n")[0])]
        for name, kind in _schemas().items()
    ]
    return "\n".join(
        [
            "# Fields of the JSON files\n",
            "Made from the schemas that every file is checked against; `ser results schema KIND` prints them. "
            "In words: [Records](/docs/records.md).\n",
            _table(["kind", "holds"], rows),
            _tree(f"schemas/{_slug(name)}" for name in _schemas()),
        ]
    )


def _schema_page(name: str) -> str:
    from ser.jsonfile import json_schema

    made = json_schema(_schemas()[name])
    text = [f"# Fields of `{name}`\n", plain(made["title"]) + "\n"]
    for title, definition in made.get("$defs", {}).items():
        if "properties" in definition:
            rows = [
                [_code(field), _type(about), plain(about.get("description", ""))]
                for field, about in definition["properties"].items()
            ]
            text += [
                f"## {title}\n",
                plain(definition.get("description", "")) + "\n",
                _table(["field", "type", "meaning"], rows),
            ]
    return "\n".join(text)


def _type(about: dict[str, Any]) -> str:
    if "$ref" in about:
        title = about["$ref"].rsplit("/", 1)[-1]
        return f"[{title}](#{title.lower()})"
    if "anyOf" in about:
        return " or ".join(map(_type, about["anyOf"]))
    if "enum" in about:
        return ", ".join(_code(word) for word in about["enum"])
    kind = about.get("type", "any")
    kind = " or ".join(kind) if isinstance(kind, list) else kind
    if kind == "array" and isinstance(about.get("items"), dict) and about["items"]:
        return f"array of {_type(about['items'])}"
    if kind == "object" and isinstance(about.get("additionalProperties"), dict) and about["additionalProperties"]:
        return f"object of {_type(about['additionalProperties'])}"
    return str(kind)
