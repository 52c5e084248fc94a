"""Options of how heads are trained: losses, schedule, augmentation, averaging. All default to the head's own settings."""

from collections.abc import Callable
from typing import Any

import click

from ser.registry import names, unknown


class Losses(click.ParamType):  # type: ignore[type-arg]
    """A loss or a weighted sum, `cross_entropy,cb_focal:0.3`; the folder is the list of names."""

    name = "losses"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        known = names("ser.train.losses")
        for word in str(value).split(","):
            name = word.partition(":")[0].strip()
            if name not in known:
                self.fail(str(unknown("loss", name, known)), param, ctx)
        return str(value)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "NAME[:WEIGHT],..."


LEARNING: list[Callable[..., Any]] = [
    click.option("--loss", type=Losses(), help="A loss or a sum of several; see ser losses.  [default: cross_entropy]"),
    click.option("--epochs", type=int, help="At most so many.  [default: the head's]"),
    click.option("--batch-size", type=int, help="Utterances a step.  [default: the head's, 32 for most]"),
    click.option("--lr", type=float, help="Highest learning rate.  [default: the head's]"),
    click.option("--weight-decay", type=float, help="Of AdamW.  [default: 0.01]"),
    click.option(
        "--schedule",
        type=click.Choice(["constant", "linear", "cosine", "one-cycle"]),
        help="Of the learning rate.  [default: the head's, one-cycle for most]",
    ),
    click.option(
        "--patience", type=int, help="Epochs without a better validation score; 0: never stop.  [default: 15]"
    ),
    click.option(
        "--selection", type=click.Choice(["UA", "WA", "loss", "last"]), help="What picks the epoch.  [default: UA]"
    ),
    click.option("--class-weights", type=click.Choice(["balanced", "none"]), help="[default: balanced]"),
    click.option("--label-smoothing", type=float, help="[default: 0.1]"),
    click.option("--clip", type=float, help="Largest gradient norm of a run; 0: no clipping.  [default: 1]"),
    click.option(
        "--context",
        type=click.Choice(["utterance", "dialogue"]),
        help="What a head sees at once: an utterance, or the turns of a dialogue.  [default: utterance]",
    ),
    click.option("--precision", type=click.Choice(["float32", "bfloat16"]), help="Of training.  [default: float32]"),
    click.option(
        "--average",
        type=click.Choice(["none", "swa", "ema"]),
        help="Average weights: over the last quarter of the epochs (swa), or over all steps (ema).  [default: none]",
    ),
    click.option("--snapshots", type=int, help="Heads a run, one a cosine cycle, averaged.  [default: 1]"),
    click.option("--mixup", type=float, metavar="ALPHA", help="Mix pairs of training utterances.  [default: 0, off]"),
    click.option(
        "--time-masks",
        metavar="NxFRAMES",
        help="SpecAugment: N masks of up to so many frames, as 2x30.  [default: off]",
    ),
    click.option(
        "--band-masks", metavar="NxBANDS", help="SpecAugment: N masks of up to so many bands, as 2x8.  [default: off]"
    ),
    click.option(
        "--feature-noise", type=float, help="Gaussian noise on training features, in their sd.  [default: 0, off]"
    ),
    click.option(
        "--modality-dropout",
        type=float,
        help="Share of training utterances of which one modality is left out.  [default: 0, off]",
    ),
]
