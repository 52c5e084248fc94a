"""`ser adapt`: unsupervised domain adaptation, beside the source's head alone and training on the target."""

from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._training import arguments, report, training_options
from ser.commands._types import Items


@click.command("adapt", cls=Command)
@click.option("--source", help="Labelled corpus.  [default: iemocap where it and cremad are cached]")
@click.option("--target", help="Corpus whose labels are not used.  [default: cremad]")
@click.option(
    "--method", "methods", type=Items(), default="dann", show_default=True, help="One method or several; see ser adaptations."
)
@click.option("--lambda", "weights", type=Items(float), help="Weights of the method; each is tried.  [default: 1]")
@click.option(
    "--ramp",
    type=click.Choice(["constant", "dann"]),
    help="Course of lambda in training: constant, or rising from 0 as in DANN.  [default: the method's]",
)
@click.option(
    "--criterion",
    type=click.Choice(["source", "entropy", "iwv", "dev", "oracle"]),
    default="source",
    show_default=True,
    help="Score that picks the epoch and lambda without target labels; oracle uses them (stamped).",
)
@training_options(without=("refit", "target"), learns=True)
def command(session: Session, source: str | None, target: str | None, **options: Any) -> None:
    """Train on a source's labels and a target's features; writes results/adapt-….json.

    Each method is compared, on the same seeds, with the source's head alone and with training on the target's labels: the
    gain, its interval and p-value, the share of the gap that it closes, and negative transfer.

    \b
    ser adapt --source ravdess --target emodb --audio egemaps --method dann,coral --lambda 0.1,1 --runs 20
    """
    from ser.train.experiments.adapt import adapt
    from ser.train.runs.source_target import need_pair

    source, target = need_pair(session.workspace, source, target)
    found = adapt(source, target, session.workspace, **arguments(session, options, source=source, target=target))
    report(session, found, options["log"])
