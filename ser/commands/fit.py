"""`ser fit`: train a head over seeds and folds on cached features."""

from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._training import arguments, report, training_options


@click.command("fit", cls=Command)
@click.option("--dataset", help="Dataset with features.  [default: the only one]")
@click.option(
    "--refit",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Train again on training and validation for the epochs that validation picked; auto: where the protocol has no "
    "validation part of its own.",
)
@click.option("--save", is_flag=True, help="Also write each run's head, for ser predict.")
@training_options
def command(session: Session, dataset: str | None, **options: Any) -> None:
    """Train a head over seeds and folds on cached features; writes results/….json.

    \b
    ser fit --runs 5
    ser fit --dataset emodb --head mlp --protocol speaker --scheme native --runs 5
    """
    from ser.features.tensors import choose_dataset
    from ser.train.fit import fit

    name = dataset or choose_dataset(session.workspace)
    summary = fit(name, session.workspace, quiet=session.quiet, **arguments(**options))
    report(session, summary, options["output"])
