"""`ser combine`: one head for several corpora, beside a head of each alone."""

from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._training import arguments, report, training_options
from ser.commands._types import Items


@click.command("combine", cls=Command)
@click.option("--datasets", type=Items(), required=True, help="At least two corpora.")
@click.option(
    "--balance",
    type=click.Choice(["corpus", "none"]),
    default="corpus",
    show_default=True,
    help="corpus: an epoch has equally many utterances of each corpus, with smaller ones repeated; none: every utterance once.",
)
@training_options()
def command(session: Session, datasets: list[str], **options: Any) -> None:
    """Train on the union of corpora, report scores on each; writes results/combine-….json.

    Each corpus keeps its own protocol. On its test utterances, the combined head is compared with a head trained on it alone.

    \b
    ser combine --datasets ravdess,emodb --audio egemaps --runs 5
    """
    from ser.train.experiments.combine import combine

    found = combine(datasets, session.workspace, **arguments(session, options))
    report(session, found, options["log"])
