"""`ser fewshot`: the curve over the amount of labelled target data."""

from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._training import arguments, report, training_options
from ser.commands._types import Items, Number, Whole
from ser.registry import names


@click.command("fewshot", cls=Command)
@click.option("--source", help="Labelled corpus to start from.  [default: iemocap where it and cremad are cached]")
@click.option("--target", help="Corpus to learn from a few labels of.  [default: cremad, or the only dataset]")
@click.option(
    "--methods",
    type=Items(),
    default="finetune",
    show_default=True,
    help=f"One method, or several to compare: {', '.join(names('ser.train.fewshot.methods'))}.",
)
@click.option(
    "--percentages", type=Items(float), help="Percentages of its training part.  [default: 10,20,50,100 without --shots]"
)
@click.option("--shots", type=Items(int), help="Utterances per class (for dimensions: in all), such as 1,5,10.")
@click.option("--speaker-aware", is_flag=True, help="Use up one speaker before the next, so few labels come from few speakers.")
@click.option("--tune-epochs", type=Whole(min=1), help="Epochs of fine-tuning the source model.  [default: 30]")
@click.option(
    "--lr-factor", type=Number(min=0, min_open=True), help="Learning rate of fine-tuning, as a share of --lr.  [default: 0.3]"
)
@click.option(
    "--freeze",
    type=click.Choice(["none", "encoder"]),
    default="none",
    show_default=True,
    help="encoder: fine-tune only what comes after the head's embedding.",
)
@training_options(without=("save", "refit", "target"), learns=True)
def command(session: Session, source: str | None, target: str | None, **options: Any) -> None:
    """Learn from growing parts of the target's training data, starting from a source model; writes results/….json.

    Parts are nested, stratified and the same for every head and method; the source model is trained once per seed. Several
    methods are compared in a study. If scratch is among them, it says how many labels each of the others saves.

    \b
    ser fewshot --source ravdess --target emodb --audio egemaps --percentages 10,20,50 --runs 5
    ser fewshot --source ravdess --target emodb --methods finetune,prototypical,simpleshot,scratch --shots 1,5,10
    """
    from ser.train.experiments.fewshot import fewshot
    from ser.train.runs.source_target import choose_pair

    source, target = choose_pair(session.workspace, source, target)
    found = fewshot(target, source, session.workspace, **arguments(session, options, source=source, target=target))
    report(session, found, options["log"])
