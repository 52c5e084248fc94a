"""The options of all training commands, made from the fields that state them, and the arguments for the functions they call.

The fields are those of `ser.train.runs.options.FitOptions` and `ser.train.loop.config.Config`; nothing here repeats them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ser.commands._base import Session
from ser.commands._configuration import recorded_command
from ser.commands._types import FILE, Items, Jobs, Number, Plugin, Plugins, Whole
from ser.errors import ConfigError
from ser.registry import has, names, unknown
from ser.train.classical.classifier import PREFIX
from ser.train.loop.config import Config
from ser.train.option import flag, is_option
from ser.train.runs.options import option_fields

if TYPE_CHECKING:
    from ser.metadata.folds.fold import FoldOptions
    from ser.results.result import Result

FINAL = "output"  # this option of an experiment and those after it follow the options of training


class Head(Plugin):
    """The name of a head: a plugin's, or `sklearn:` and a class of scikit-learn, which is looked up when it is used."""

    def __init__(self) -> None:
        super().__init__("ser.train.heads")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value) if str(value).startswith(PREFIX) else super().convert(value, param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return super().get_metavar(param, ctx)[:-1] + f"|{PREFIX}CLASS]"


class Losses(click.ParamType):  # type: ignore[type-arg]
    """A loss or a weighted sum of losses, `cross_entropy,cb_focal:0.3`; the folder is the list of names."""

    name = "losses"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from ser.train.losses import resolved, split

        text = resolved(str(value))
        for word in text.split(","):
            name, _ = split(word)
            if not has("ser.train.losses", name):
                self.fail(str(unknown("loss", name, names("ser.train.losses"))), param, ctx)
        return text

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "NAME[:WEIGHT],..."


PROTOCOL = ("protocol", "folds", "stratified", "fold_file", "validation", "split_seed")


def options_of(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add some options of experiments to a command's function, by name."""
    return _added(_option(f, f.default) for name, f in option_fields().items() if name in names)


def record_options(system: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of the record of a system, which the help calls so: scheme, protocol, map of labels, file."""
    words = (
        f"Class that a label of the {system} stands for; nothing after = means none. Or a YAML or JSON file. May be repeated."
    )
    named = option_fields()
    return _added(
        [
            _option(named["scheme"], named["scheme"].default),
            *(_option(f, f.default) for name, f in named.items() if name in PROTOCOL),
            click.option("--map", "labels", multiple=True, metavar="LABEL=CLASS|FILE", help=words),
            click.option("--output", type=FILE, help="Summary file, ending in .json."),
        ]
    )


def fold_options(options: dict[str, Any]) -> "FoldOptions":
    """Take the options of a protocol, but for its name, out of those of a command line."""
    from ser.metadata.folds.fold import FoldOptions

    file, number, by = options.pop("fold_file"), options.pop("folds"), options.pop("validation")
    return FoldOptions(number, options.pop("split_seed"), file, by, options.pop("stratified"))


def training_options(
    head: str = "mlp", without: tuple[str, ...] = (), learns: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of experiments and of training to a command's function.

    Args:
        head: the default one.
        without: options of experiments that mean nothing to the command.
        learns: what heads learn is called --learns, as --target is a corpus.
    """

    return _added(_options(head, without, learns))


def _added(options: Iterable[Callable[..., Any]]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    every = [*options]

    def added(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(every):
            command = option(command)
        return command

    return added


def _options(head: str, without: tuple[str, ...], learns: bool) -> Iterator[Callable[..., Any]]:
    general = [f for f in option_fields().values() if f.name not in without and flag(f) != "-"]
    position = [f.name for f in general].index(FINAL)
    yield click.option("--head", type=Head(), default=head, show_default=True, help="Architecture; see ser heads.")
    yield click.option(
        "--head-option",
        "head_options",
        multiple=True,
        metavar="KEY=VALUE",
        help="An option of the head, such as hidden=256. May be repeated.",
    )
    if learns:
        one = option_fields()["target"]
        yield click.option("--learns", default=one.default, show_default=True, help=one.metadata["text"])
    yield from (_option(f, f.default) for f in general[:position])
    yield from (_option(f, None) for f in fields(Config) if is_option(f))  # None: the head's own default
    yield from (_option(f, f.default) for f in general[position:])


def _option(field: Field[Any], default: Any) -> Callable[..., Any]:
    text = field.metadata["text"]
    unset = field.metadata["unset"] or (field.default if default is None else None)
    if unset is not None:
        text += f"  [default: {unset:g}]" if isinstance(unset, float) else f"  [default: {unset}]"
    kind = _type(field)
    if field.name == "log":
        loggers = Plugins("ser.results.loggers")
        return click.option("--log", multiple=True, type=loggers, callback=loggers.joined, help=f"{text} May be repeated.")
    if isinstance(default, bool):
        return click.option(f"--{flag(field)}", field.name, is_flag=True, help=text)
    return click.option(
        f"--{flag(field)}",
        field.name,
        type=kind,
        metavar=field.metadata["metavar"] or (",".join(field.metadata["choices"]) or None if isinstance(kind, Items) else None),
        default=default,
        show_default=default is not None,
        help=text,
    )


def _type(field: Field[Any]) -> Any:
    """The option's type on the command line."""
    kinds = get_args(field.type) or (field.type,)
    least, above, below = (field.metadata[bound] for bound in ("least", "above", "below"))
    if field.name == "loss":
        return Losses()
    if field.name == "jobs":
        return Jobs()
    if tuple[str, ...] in kinds:
        return Items()
    if field.metadata["choices"]:
        return click.Choice(field.metadata["choices"])
    if Path in kinds:
        return FILE
    if float in kinds:
        return Number(least if above is None else above, below, min_open=above is not None, max_open=True)
    if int in kinds or field.name == "folds":
        return Whole(least, largest=2**63 - 1 if "seed" in field.name or least is None else 2**31 - 1)
    return click.STRING


def arguments(session: Session, options: Mapping[str, Any], **chosen: str | None) -> dict[str, Any]:
    """Keyword arguments of `ser.fit` and its siblings.

    Args:
        options: of the command line.
        chosen: options that the command chose where they were not given, for the record.

    Raises:
        ConfigError: a tracker whose package is not installed; a head's option that is not KEY=VALUE.
    """
    from ser.results.loggers import refuse_absent

    refuse_absent(options["log"])
    given = {name: value for name, value in options.items() if name != "log"}
    pairs = _pairs(options["head_options"])
    return {**given, "head_options": pairs, "quiet": session.quiet, "command": recorded_command(**chosen)}


def _pairs(words: tuple[str, ...]) -> dict[str, Any] | None:
    """`hidden=256` -> `{"hidden": 256}`; values are numbers where they look like numbers."""
    if not words:
        return None
    from ser.train.experiments.search_space import scalar
    from ser.yaml_file import parse_yaml

    pairs: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"--head-option {word}", expected="KEY=VALUE")
        if key in pairs:
            raise ConfigError(f"--head-option {key} is given twice", expected="each key once", action="Leave one out.")
        try:
            read = value if "," in value else parse_yaml(value, "")
        except ConfigError:
            raise ConfigError(f"--head-option {word}", expected="KEY=VALUE, the value a number or a word") from None
        pairs[key] = scalar(value) if read == value else read  # YAML takes None for a text
    return pairs


def report(session: Session, result: "Result", loggers: Sequence[str] = ()) -> None:
    """Print a result as `ser results show` does, and write it into the trackers that were named."""
    from ser.results.loggers import log

    if not session.quiet:
        from ser.results.report.compose import text_of

        session.say(f"{text_of(result.record, result.path)}\n\nwritten: {result.path}")
    for line in log(result.record, result.path, loggers):
        session.say(f"log         {line}")
