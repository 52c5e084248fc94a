"""Options that every training command has."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ser.commands._base import Items, Plugin, Session
from ser.errors import ConfigError

_OPTIONS: list[Callable[..., Any]] = [
    click.option("--head", type=Plugin("ser.train.heads"), default="mlp", show_default=True, help="Architecture."),
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
        type=click.Choice(["official", "session", "speaker", "emobox", "seed1", "random"]),
        help="Who is in train, validation, test.  [default: what the table allows, in this order]",
    ),
    click.option("--folds", type=click.IntRange(min=3), help="Number of folds, for speaker and random."),
    click.option(
        "--fold-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="CSV with columns fold and utterance_id (its test fold), for emobox.",
    ),
    click.option(
        "--validation",
        type=click.Choice(["auto", "speaker", "session", "utterance"]),
        default="auto",
        show_default=True,
        help="What validation takes whole from training.",
    ),
    click.option(
        "--split-seed", default=0, show_default=True, help="Of the protocol's shuffles; the same for all runs."
    ),
    click.option("--audio", type=Items(), help="Audio stores to use, by encoder or store name."),
    click.option("--text", type=Items(), help="Text stores to use, by encoder or store name."),
    click.option("--modalities", type=Items(), help="audio, text: use these only.  [default: all that are cached]"),
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
    click.option("--loss", type=Plugin("ser.train.losses"), help="Loss.  [default: cross_entropy]"),
    click.option("--epochs", type=int, help="At most so many.  [default: the head's]"),
    click.option("--batch-size", type=int, help="Utterances a step.  [default: the head's, 32 for most]"),
    click.option("--lr", type=float, help="Highest learning rate.  [default: the head's]"),
    click.option("--weight-decay", type=float, help="Of AdamW.  [default: 0.01]"),
    click.option("--schedule", type=click.Choice(["constant", "cosine", "one-cycle"]), help="[default: one-cycle]"),
    click.option(
        "--patience", type=int, help="Epochs without a better validation score; 0: never stop.  [default: 15]"
    ),
    click.option(
        "--selection", type=click.Choice(["UA", "WA", "loss", "last"]), help="What picks the epoch.  [default: UA]"
    ),
    click.option("--class-weights", type=click.Choice(["balanced", "none"]), help="[default: balanced]"),
    click.option("--label-smoothing", type=float, help="[default: 0.1]"),
    click.option("--clip", type=float, help="Largest gradient norm of a run; 0: no clipping.  [default: 1]"),
    click.option("--jobs", type=click.IntRange(min=1), help="Worker processes.  [default: one a core]"),
    click.option("--stack", type=click.IntRange(min=1), help="Runs trained together.  [default: chosen by size]"),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."),
    click.option(
        "--output", type=click.Path(dir_okay=False, path_type=Path), help="Summary file.  [default: in results/]"
    ),
]


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the training options to a command's function; `arguments` makes keyword arguments of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def arguments(**options: Any) -> dict[str, Any]:
    """Keyword arguments of `ser.train.fit.fit` and its siblings, from the options of the command line."""
    import shlex
    import sys

    from ser.metadata.splits import Options

    _refuse_device(options["device"])
    _refuse_contradiction(options)
    audio, text = options.pop("audio"), options.pop("text")
    file, number, by = options.pop("fold_file"), options.pop("folds"), options.pop("validation")
    seed = options.pop("split_seed")
    return {
        **options,
        "stores": [*(audio or []), *(text or [])] or None,
        "head_options": _pairs(options["head_options"]),
        "folds": Options(folds=number, seed=seed, file=file, validation=by),
        "command": shlex.join(["ser", *sys.argv[1:]]),
    }


def _refuse_device(device: str) -> None:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", device):
        raise ConfigError(f"--device {device}", expected="auto, cpu, cuda, cuda:N or mps")


def _refuse_contradiction(options: dict[str, Any]) -> None:
    """A store that is named is used, so `--modalities` must not leave its modality out."""
    wanted = options["modalities"]
    for modality in ("audio", "text"):
        if wanted and options[modality] and modality not in wanted:
            raise ConfigError(
                f"--{modality} {','.join(options[modality])} contradicts --modalities {','.join(wanted)}",
                action=f"Leave --{modality} out, or add {modality} to --modalities.",
            )


def _pairs(words: tuple[str, ...]) -> dict[str, Any] | None:
    """`hidden=256` -> `{"hidden": 256}`; values are numbers where they look like numbers."""
    import yaml

    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"--head-option {word}", expected="KEY=VALUE")
        pairs[key] = value if "," in value else yaml.safe_load(value)
    return pairs or None


def report(session: Session, summary: dict[str, Any], output: Path | None) -> None:
    """Print a summary as `ser results show` does."""
    from ser.results.show import text

    session.say(text(summary, output or session.workspace.results / f"{summary['experiment']}.json"))
