"""Types of options: files, lists, names of plugins."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import click
from click.shell_completion import CompletionItem

from ser.errors import ConfigError
from ser.files import require_folder
from ser.registry import has, kind, names, resolve, unknown

FILE = click.Path(dir_okay=False, path_type=Path)  # to be read or written


class Items(click.ParamType):  # type: ignore[type-arg]
    """A comma-separated list: `10,20,50` -> `[10.0, 20.0, 50.0]`."""

    name = "list"
    WORDS: ClassVar[dict[Any, str]] = {float: "a number", int: "a whole number"}

    def __init__(self, kind: Callable[[str], Any] = str) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        if isinstance(value, list):
            return value
        found = [self._one(word.strip(), param, ctx) for word in str(value).split(",") if word.strip()]
        if not found and value:  # "" is the default of some
            self.fail(f"{value!r} lists nothing; expected one value or several with commas between them", param, ctx)
        return found

    def _one(self, word: str, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self.kind(word)
        except ValueError:
            kind = self.WORDS.get(self.kind, self.kind.__name__)
            self.fail(f"{word!r} is not {kind}; expected one, or several with commas between them", param, ctx)


class Pairs(Items):
    """A comma-separated list of pairs: `a=1,b=2` -> `{"a": "1", "b": "2"}`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, dict):
            return value
        found: dict[str, str] = {}
        for pair in super().convert(value, param, ctx) or [str(value)]:
            name, _, meaning = (part.strip() for part in pair.partition("="))
            if not (name and meaning):
                self.fail(f"{pair!r} is not a pair; expected NAME=VALUE, or several with commas between them", param, ctx)
            if name in found:
                self.fail(f"{name!r} is there twice; expected each name once", param, ctx)
            found[name] = meaning
        return found


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


class Plugins(Plugin):
    """Names of plugins with commas between them, of an option that may be repeated; `joined` is its callback."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        words = Items().convert(value, param, ctx)
        return [super(Plugins, self).convert(word, param, ctx) for word in words]

    @staticmethod
    def joined(ctx: click.Context, param: click.Parameter, value: tuple[list[str], ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for some in value for name in some))


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
    """A whole number within limits; `largest` is not named in the help: libraries take no larger one."""

    name = "whole number"

    def __init__(self, min: int | None = None, max: int | None = None, largest: int = 2**31 - 1) -> None:
        super().__init__(min, max)
        self.largest = largest

    def _describe_range(self) -> str:
        return super()._describe_range() if (self.min, self.max) != (None, None) else ""  # click would say "x<=None"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if found > self.largest:
            self.fail(f"{value} is too large; expected {self.largest} at most", param, ctx)
        return found


class Jobs(Whole):
    """A number of workers, no more than a machine has a use for."""

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from ser.workers.engine import check_jobs

        found = super().convert(value, param, ctx)
        try:
            check_jobs(found)
        except ConfigError as error:
            self.fail(error.line().removeprefix("--jobs "), param, ctx)
        return found


class Day(click.DateTime):
    """A day, or a time of it."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is not a date; expected a day as 2026-11-30, or a time as 2026-11-30T18:00:00", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "DATE"


class Number(click.FloatRange):
    """A number within limits, which `nan` and `inf` are not."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is not a {'finite ' if math.isinf(found) else ''}number", param, ctx)
        return found
