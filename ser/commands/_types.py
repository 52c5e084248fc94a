"""Types of options: lists, names of plugins, metrics."""

from collections.abc import Callable
from typing import Any

import click

from ser.registry import kind, names, unknown

METRICS = click.Choice(["UA", "WA", "WF1", "Macro_F1"], case_sensitive=False)


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


class Plugin(click.ParamType):  # type: ignore[type-arg]
    """The name of a plugin: the folder is the list of choices."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.name = kind(package)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in names(self.package):
            self.fail(str(unknown(self.name, str(value), names(self.package))), param, ctx)
        return str(value)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "[" + "|".join(names(self.package)) + "]"
