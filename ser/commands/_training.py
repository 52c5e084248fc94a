"FoldOptions that every training command has."

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ser.commands._base import Items, Plugin, Session
from ser.commands._learning import LEARNING
from ser.errors import ConfigError
from ser.train.classical.classifier import PREFIX


class Head(Plugin):
    """The name of a head: a plugin's, or `sklearn:` and a class of scikit-learn, which is looked up when it is used."""

    def __init__(self) -> None:
        super().__init__("ser.train.heads")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value) if str(value).startswith(PREFIX) else super().convert(value, param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return super().get_metavar(param, ctx)[:-1] + f"|{PREFIX}CLASS]"


MODALITIES = ("audio", "text", "visual")
_OPTIONS: list[Callable[..., Any]] = [
    click.option(
        "--head-option",
        "head_options",
        multiple=True,
        metavar="KEY=VALUE",
        help="An option of the head, as hidden=256.",
    ),
    click.option(
        "--scheme", default="4", show_default=True, help="Label scheme: 4, 6, 7, 8, native, ... or a YAML file."
    ),
    click.option(
        "--protocol",
        type=click.Choice(["official", "session", "speaker", "emobox", "seed1", "random", "file"]),
        help="Who is in train, validation, test.  [default: what the table allows, in this order]",
    ),
    click.option("--folds", type=click.IntRange(min=3), help="Number of folds, for session, speaker and random."),
    click.option("--stratified", is_flag=True, help="With --folds: groups dealt so that folds have the same classes."),
    click.option(
        "--fold-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="CSV with columns utterance_id, fold and part (of `ser audit --write-folds`), or fold alone: its test fold.",
    ),
    click.option(
        "--validation",
        type=click.Choice(["auto", "speaker", "session", "dialogue", "utterance"]),
        default="auto",
        show_default=True,
        help="What validation takes whole from training.",
    ),
    click.option(
        "--split-seed", default=0, show_default=True, help="Of the protocol's shuffles; the same for all runs."
    ),
    click.option("--audio", type=Items(), help="Audio stores to use, by encoder or store name."),
    click.option("--text", type=Items(), help="Text stores to use, by encoder or store name."),
    click.option("--visual", type=Items(), help="Visual stores to use, which are imported, by name."),
    click.option(
        "--modalities", type=Items(), help="audio, text, visual: use these only.  [default: all that are cached]"
    ),
    click.option(
        "--views",
        type=Items(),
        help="Augmented views of the audio that training utterances are drawn among: all, tta, or names.  [default: none]",
    ),
    click.option(
        "--normalize",
        type=click.Choice(["none", "train", "corpus", "speaker"]),
        default="train",
        show_default=True,
        help="Whose statistics standardise the features; corpus and speaker use unlabelled test data (stamped).",
    ),
    click.option(
        "--feature-limit",
        "limit",
        type=click.FloatRange(min=0),
        default=3.0,
        show_default=True,
        help="Standardised features beyond so many standard deviations are set to it; 0: no limit.",
    ),
    click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Seeds."),
    click.option("--seed", default=0, show_default=True, help="Of the experiment."),
    *LEARNING,
    click.option("--jobs", type=click.IntRange(min=1), help="Worker processes.  [default: one a core]"),
    click.option("--stack", type=click.IntRange(min=1), help="Runs trained together.  [default: chosen by size]"),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."),
    click.option(
        "--output", type=click.Path(dir_okay=False, path_type=Path), help="Summary file.  [default: in results/]"
    ),
    click.option(
        "--log",
        multiple=True,
        type=Plugin("ser.results.loggers"),
        help="Also write curves and scores into a tracker, in results/. May be repeated.",
    ),
]


def training_options(command: Callable[..., Any], head: str = "mlp") -> Callable[..., Any]:
    """Add the training options to a command's function; `arguments` makes keyword arguments of them.

    Args:
        head: the default one.
    """
    for option in reversed(_OPTIONS):
        command = option(command)
    return click.option("--head", type=Head(), default=head, show_default=True, help="Architecture.")(command)


def arguments(**options: Any) -> dict[str, Any]:
    """Keyword arguments of `ser.train.experiments.fit.fit` and its siblings, from the options of the command line."""
    import shlex
    import sys

    from ser.metadata.folds.fold import FoldOptions
    from ser.results.loggers import need

    need(options.pop("log"))
    _refuse_device(options["device"])
    _refuse_contradiction(options)
    named = [name for modality in MODALITIES for name in options.pop(modality) or []]
    file, number, by = options.pop("fold_file"), options.pop("folds"), options.pop("validation")
    seed, stratified = options.pop("split_seed"), options.pop("stratified")
    return {
        **options,
        "stores": named or None,
        "head_options": _pairs(options["head_options"]),
        "folds": FoldOptions(folds=number, seed=seed, file=file, validation=by, stratified=stratified),
        "command": shlex.join(["ser", *sys.argv[1:]]),
    }


def _refuse_device(device: str) -> None:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", device):
        raise ConfigError(f"--device {device}", expected="auto, cpu, cuda, cuda:N or mps")


def _refuse_contradiction(options: dict[str, Any]) -> None:
    """A store that is named is used, so `--modalities` must not leave its modality out."""
    wanted = options["modalities"]
    for modality in MODALITIES:
        if wanted and options[modality] and modality not in wanted:
            raise ConfigError(
                f"--{modality} {','.join(options[modality])} contradicts --modalities {','.join(wanted)}",
                action=f"Leave --{modality} out, or add {modality} to --modalities.",
            )


def _pairs(words: tuple[str, ...]) -> dict[str, Any] | None:
    """`hidden=256` -> `{"hidden": 256}`; values are numbers where they look like numbers."""
    import yaml

    from ser.train.experiments.search_space import scalar

    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"--head-option {word}", expected="KEY=VALUE")
        try:
            read = value if "," in value else yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--head-option {word}", expected="KEY=VALUE, the value a number or a word") from None
        pairs[key] = scalar(value) if read == value else read  # YAML takes 1e-3 for a text
    return pairs or None


def report(session: Session, summary: dict[str, Any], options: dict[str, Any]) -> None:
    """Print a result as `ser results show` does, and write it into the trackers that were asked for.

    Args:
        options: of the command line: `output` and `log`.
    """
    from ser.results.loggers import log
    from ser.results.report.show import any_text

    path = options["output"] or session.workspace.results / f"{summary['experiment']}.json"
    session.say(any_text(summary, path))
    for line in log(summary, path, options["log"]):
        session.say(f"log         {line}")
