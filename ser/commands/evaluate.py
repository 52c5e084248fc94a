"""`ser evaluate`: evaluate trained heads on their own corpus or another."""

from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._configuration import recorded_command
from ser.commands._types import FILE, Items, Jobs, Number, Whole
from ser.results.metrics.suite import LIMITS
from ser.workers.engine import BACKENDS, LOCAL


@click.command("evaluate", cls=Command)
@click.option(
    "--model",
    required=True,
    metavar="NAME|FILE",
    help="An experiment, by name or file, with all its runs and folds; or one saved head's file.",
)
@click.option("--dataset", help="Cached corpus.  [default: the one it was tested on]")
@click.option("--scheme", help="Label scheme of another corpus.  [default: the record's]")
@click.option("--calibrate", is_flag=True, help="Temperature scaling, fitted on each fold's validation predictions.")
@click.option(
    "--conformal",
    type=Number(min=0, max=1, min_open=True, max_open=True),
    metavar="COVERAGE",
    help="Sets of classes that are to hold the true one this often, as 0.9, from each fold's validation predictions; of "
    "dimensions intervals, of several labels yes, no or both for each.",
)
@click.option("--tta", is_flag=True, help="Also evaluate the mean over the stored views: ser extract --views tta.")
@click.option(
    "--suite",
    is_flag=True,
    help="Also check robustness (stored views of the test audio: ser extract --views suite), gaps between groups and speakers "
    "against limits, and write the page.",
)
@click.option("--views", type=Items(), help="For --suite: other conditions, such as noise5,gain-20.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=NUMBER",
    help="For --suite: the largest difference of UA (of CCC or macro F1, as the target) that passes: robustness, a "
    "condition, gender, language, corpus, speaker. "
    f"May be repeated.  [default: {', '.join(f'{name} {limit:g}' for name, limit in LIMITS.items())}; of CCC 0.15 for groups]",
)
@click.option(
    "--novelty",
    multiple=True,
    metavar="emotion:NAME|DATASET",
    help="Also measure how well scores separate an emotion left out of training, or another corpus, from the known. May be "
    "repeated.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Also explain the heads: class activation, attention, encoder layers, modalities; as PNG and NPZ.",
)
@click.option(
    "--examples",
    type=Whole(min=1),
    default=1,
    show_default=True,
    help="For --explain: utterances of each class that were recognised, and that were missed.",
)
@click.option("--amount", metavar="SIZE", help='Of a few-shot record: "10%" or "5 shots".  [default: the largest]')
@click.option("--output", type=FILE, help="Record.  [default: beside the summary]")
@click.option("--device", default="cpu", show_default=True, help="As of ser fit.")
@click.option(
    "--memory",
    type=Number(min=0),
    metavar="GIB",
    help="What the features of a corpus may take; larger ones stay on disk, and are read as they are needed.  [default: as "
    "much as they need]",
)
@click.option(
    "--jobs", type=Jobs(), help="Worker processes, or threads.  [default: one for each core, where heads take seconds]"
)
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    default=LOCAL,
    show_default=True,
    help="The workers that run the heads: loky, processes of this machine; threads, those of this process; dask or ray, "
    "those of a cluster. See docs/cluster.md.",
)
@click.option("--address", help="Address of the cluster.  [default: that of DASK_SCHEDULER_ADDRESS or RAY_ADDRESS]")
def command(session: Session, model: str, novelty: tuple[str, ...], **options: Any) -> None:
    """Evaluate calibration, abstention, novelty, ensembles, votes, gaps, robustness; writes results/….evaluation-….json.

    On a corpus that the heads have seen, the recorded test rows of each fold are evaluated; another corpus is predicted by
    each saved head (ser fit --save).

    \b
    ser evaluate --model EXPERIMENT --calibrate
    ser evaluate --model results/EXPERIMENT/run-000.fold-00.safetensors --dataset other
    ser evaluate --model EXPERIMENT --novelty emotion:boredom --novelty noises
    ser evaluate --model EXPERIMENT --suite --limit gsm=0.1
    ser evaluate --model EXPERIMENT --explain
    """
    from ser.evaluation.evaluate import evaluate
    from ser.results.report.compose import text_of, write_report

    record, path = evaluate(model, session.workspace, novelty=novelty, command=recorded_command(), say=session.warn, **options)
    page = f"\npage: {write_report([str(path)], session.workspace.results)}" if options["suite"] else ""
    session.say(f"{text_of(record, path)}\n\nwritten: {path}{page}")
