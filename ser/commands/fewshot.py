"""`ser fewshot`: the curve over the amount of labelled target data."""

from typing import Any

import click

from ser.commands._base import Command, Items, Session
from ser.commands._training import arguments, report, training_options


@click.command("fewshot", cls=Command)
@click.option("--source", help="Labelled corpus to start from.  [default: iemocap where it and cremad are cached]")
@click.option("--target", help="Corpus to learn from few labels of.  [default: cremad, or the only dataset]")
@click.option(
    "--percentages", type=Items(float), default="10,20,50,100", show_default=True, help="Of its training part."
)
@click.option("--tune-epochs", default=30, show_default=True, help="Epochs of fine-tuning.")
@click.option("--lr-factor", default=0.3, show_default=True, help="Learning rate of fine-tuning, as a share of --lr.")
@training_options
def command(session: Session, source: str | None, target: str | None, **options: Any) -> None:
    """Fine-tune a source model on growing parts of the target's training data; writes results/….json.

    Parts are nested, stratified and the same for every head; the source model is trained once a seed.

    \b
    ser fewshot --source ravdess --target emodb --audio egemaps --percentages 10,20,50 --runs 5
    """
    from ser.train.fewshot import fewshot
    from ser.train.pairs import choose_pair

    source, target = choose_pair(session.workspace, source, target)
    summary = fewshot(target, source, session.workspace, quiet=session.quiet, **arguments(**options))
    report(session, summary, options["output"])
