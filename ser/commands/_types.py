"""Types of options: lists, names of plugins."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from ser.errors import ConfigError
from ser.files import require_folder
from ser.registry import has, kind, names, resolve, unknown


class Items(click.ParamType):  # type: ignore[type-arg]
    """A comma-separated list: `10,20,50` -> `[10.0, 20.0, 50.0]`."""

    name = "list"

    def __init__(self, kind: Callable[[str], Any] = str) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        if isinstance(value, list):
            return value
        try:
            return [self.kind(v.strip()) for v in str(value).split(",") if v.strip()]
        except ValueError:
            self.fail(f"{value!r} is not a comma-separated list of {self.kind.__name__} values", param, ctx)


class Pairs(Items):
    """A comma-separated list of pairs: `a=1,b=2` -> `{"a": "1", "b": "2"}`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, dict):
            return value
        return dict(pair.partition("=")[::2] for pair in super().convert(value, param, ctx))


class Plugin(click.ParamType):  # type: ignore[type-arg]
    """The name of a plugin: the folder is the list of choices."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.name = kind(package)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name = resolve(self.package, str(value))
        if not has(self.package, name):
            self.fail(str(unknown(self.name, name, names(self.package))), param, ctx)
        return name

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "[" + "|".join(names(self.package)) + "]"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in names(self.package) if name.startswith(incomplete)]


class Folder(click.ParamType):  # type: ignore[type-arg]
    """A folder that is read; what is there instead is named.

    Args:
        or_file: a regular file will do too, and a name at which there is nothing is left to the command.
        made: there may be nothing yet.
    """

    name = "directory"

    def __init__(self, or_file: bool = False, made: bool = False) -> None:
        self.or_file, self.made = or_file, made

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        try:
            require_folder(value, self.or_file, self.made or self.or_file)
        except ConfigError as error:
            self.fail(error.line(), param, ctx)
        return Path(value)


class Whole(click.IntRange):
    """A whole number within limits."""

    name = "whole number"


class Number(click.FloatRange):
    """A number within limits, which `nan` is not."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is not a number", param, ctx)
        return found
