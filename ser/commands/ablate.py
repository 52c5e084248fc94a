"""`ser ablate`: each modality alone, a simple fusion and the full model, compared in pairs."""

from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._training import Head, arguments, report, training_options


@click.command("ablate", cls=Command)
@click.option("--dataset", help="Dataset with features of at least two modalities.  [default: the only one]")
@click.option("--simple", type=Head(), default="early", show_default=True, help="The simple fusion.")
@training_options("cross_attention")
def command(session: Session, dataset: str | None, **options: Any) -> None:
    """Measure the gain of each part: each modality alone, a simple fusion, the full model; writes results/ablate-….json.

    All of them are ordinary experiments on the same utterances, folds and seeds. The full model (--head) is compared with each
    of the others by paired permutation tests.

    \b
    ser ablate --dataset meld --scheme 7 --runs 5
    """
    from ser.features.store_selection import choose_dataset
    from ser.train.experiments.ablate import ablate

    name = dataset or choose_dataset(session.workspace)
    report(session, ablate(name, session.workspace, **arguments(session, options, dataset=name)), options["log"])
