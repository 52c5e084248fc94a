"""`ser layers`: each stored layer of an encoder by itself, or each pooling of frames; validation chooses."""

from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._training import arguments, report, training_options


@click.command("layers", cls=Command)
@click.option("--dataset", help="Dataset that has a store with several layers.  [default: the only one]")
@click.option(
    "--over",
    type=click.Choice(["layers", "pooling"]),
    default="layers",
    show_default=True,
    help="layers: each stored layer alone, and all with learned weights; pooling: each pooling of a store of frames.",
)
@training_options("linear", without=("layer", "save"))
def command(session: Session, dataset: str | None, **options: Any) -> None:
    """Compare the stored layers of an encoder by a probe on each; writes results/layers-….json.

    The probes are ordinary experiments (ser fit --layer N) on the same utterances, folds and seeds. Validation alone chooses a
    layer, which is compared with the last layer and with the sum of all layers by learned weights.

    \b
    ser layers --dataset ravdess --audio wavlm-base.layers-all --runs 5
    ser layers --dataset ravdess --audio wavlm-base.frame --over pooling
    """
    from ser.features.store_selection import choose_dataset
    from ser.train.experiments.layers import layers

    name = dataset or choose_dataset(session.workspace)
    report(session, layers(name, session.workspace, **arguments(session, options, dataset=name)), options["log"])
