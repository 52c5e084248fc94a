"""`ser finetune`: train on a source corpus, then on a target."""

from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._training import arguments, report, training_options
from ser.commands._types import Number, Whole


@click.command("finetune", cls=Command)
@click.option("--source", help="Corpus to pretrain on.  [default: iemocap where it and cremad are cached]")
@click.option("--target", help="Corpus to fine-tune on.  [default: cremad]")
@click.option(
    "--freeze",
    type=click.Choice(["none", "encoder"]),
    default="none",
    show_default=True,
    help="encoder: fine-tune only what comes after the head's embedding.",
)
@click.option("--tune-epochs", type=Whole(min=1), help="Epochs of fine-tuning.  [default: as in pretraining]")
@click.option(
    "--lr-factor",
    type=Number(min=0, min_open=True),
    default=0.1,
    show_default=True,
    help="Learning rate of fine-tuning, as a share of --lr.",
)
@training_options(without=("refit", "target"), learns=True)
def command(session: Session, source: str | None, target: str | None, **options: Any) -> None:
    """Pretrain on a source, fine-tune on a target's training part; writes results/finetune-….json.

    The result is compared, on the same seeds, with the source's head alone and with training on the target alone.

    \b
    ser finetune --source ravdess --target emodb --audio egemaps --freeze encoder --runs 5
    """
    from ser.train.experiments.finetune import finetune
    from ser.train.runs.source_target import need_pair

    source, target = need_pair(session.workspace, source, target)
    found = finetune(source, target, session.workspace, **arguments(session, options, source=source, target=target))
    report(session, found, options["log"])
